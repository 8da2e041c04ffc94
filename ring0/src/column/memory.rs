//! How much memory columns take, whether it is filled or not.

use super::{Bitmap, Bools, Bytes, Column, Fixed, Lists, Structs, Validity};

impl Column {
    /// Bytes of memory.
    pub(crate) fn heap_bytes(&self) -> usize {
        each_column!(self, c => c.heap_bytes())
    }
}

impl Bitmap {
    fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

impl Validity {
    fn heap_bytes(&self) -> usize {
        self.bits.heap_bytes()
    }
}

impl<T> Fixed<T> {
    fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<T>() + self.validity.heap_bytes()
    }
}

impl Bools {
    fn heap_bytes(&self) -> usize {
        self.values.heap_bytes() + self.validity.heap_bytes()
    }
}

impl<C> Bytes<C> {
    fn heap_bytes(&self) -> usize {
        let offsets = self.offsets.capacity() * size_of::<i32>();
        offsets + self.data.capacity() + self.validity.heap_bytes()
    }
}

impl Lists {
    fn heap_bytes(&self) -> usize {
        let offsets = self.offsets.capacity() * size_of::<i32>();
        offsets + self.values.heap_bytes() + self.validity.heap_bytes()
    }
}

impl Structs {
    fn heap_bytes(&self) -> usize {
        let fields = self.fields.iter().map(Column::heap_bytes);
        fields.sum::<usize>() + self.validity.heap_bytes()
    }
}
