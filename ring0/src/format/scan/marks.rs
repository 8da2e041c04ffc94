//! Where the bytes of a set are in a window of text: 64 bytes are compared at once, and the places
//! are written eight at a time without looking how many there are, so that nothing has to be
//! foreseen. What reads the text then goes from place to place.

use super::block::Block;

/// Bytes of a window at most.
pub(in crate::format) const WINDOW_BYTES: usize = 4096;
/// Bytes compared at once.
const BLOCK_BYTES: usize = 64;
/// Places written at once.
const STEP: usize = 8;

// A bit of a word for each block.
const _: () = assert!(WINDOW_BYTES == BLOCK_BYTES * 64);

/// The places of a window.
#[derive(Debug)]
pub(in crate::format) struct Marks {
    places: Box<[u16; WINDOW_BYTES + STEP]>,
    count: usize,
    /// Bit b: whether one of the bytes from 64 b on is not ASCII.
    high: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            places: Box::new([0; WINDOW_BYTES + STEP]),
            count: 0,
            high: 0,
        }
    }
}

impl Marks {
    /// Looks for bytes that are one of `set` in a window.
    ///
    /// # Panics
    /// Where the window is longer than one is.
    pub(in crate::format) fn look(&mut self, window: &[u8], set: [u8; 4]) {
        assert!(window.len() <= WINDOW_BYTES, "a window of bytes");
        #[cfg(target_arch = "x86_64")]
        if wide::is_there() {
            return wide::look(self, window, set);
        }
        self.look_with(window, |block| masks(block, set));
    }

    /// The places, ascending.
    #[inline(always)]
    pub(in crate::format) fn places(&self) -> &[u16] {
        &self.places[..self.count]
    }

    /// Whether a byte near `from..to`, which is not empty, is not ASCII; sure where none is.
    #[inline(always)]
    pub(in crate::format) fn may_be_high(&self, from: usize, to: usize) -> bool {
        let (first, last) = (from / BLOCK_BYTES, (to - 1) / BLOCK_BYTES);
        let blocks = u64::MAX << first & u64::MAX >> (63 - last);
        self.high & blocks != 0
    }

    /// [`Marks::look`] with what is marked in a block, and which of its bytes are not ASCII.
    #[inline(always)]
    fn look_with(&mut self, window: &[u8], masks: impl Fn(&[u8; BLOCK_BYTES]) -> (u64, u64)) {
        let (mut count, mut high) = (0, 0);
        let mut put = |number: usize, (mut rest, above): (u64, u64)| {
            high |= u64::from(above != 0) << number;
            let behind = count + rest.count_ones() as usize;
            while rest != 0 {
                // There is room for all bytes of the window, and for a step behind them.
                let Some(to) = self.places[count..].first_chunk_mut::<STEP>() else {
                    unreachable!("no more places than bytes")
                };
                for place in to {
                    *place = (number * BLOCK_BYTES) as u16 + rest.trailing_zeros() as u16;
                    rest &= rest.wrapping_sub(1);
                }
                count += STEP;
            }
            count = behind;
        };
        let mut blocks = window.chunks_exact(BLOCK_BYTES);
        let mut number = 0;
        for block in blocks.by_ref() {
            let Some(block) = block.first_chunk() else {
                unreachable!("a chunk is as long as a block")
            };
            put(number, masks(block));
            number += 1;
        }
        let rest = blocks.remainder();
        if !rest.is_empty() {
            let mut block = [0; BLOCK_BYTES];
            block[..rest.len()].copy_from_slice(rest);
            let (marked, above) = masks(&block);
            // Zeros may be marked; they are no bytes of the window.
            put(number, (marked & !(u64::MAX << rest.len()), above));
        }
        (self.count, self.high) = (count, high);
    }
}

/// Which bytes of a block are one of `set`, and which are not ASCII.
#[inline(always)]
fn masks(block: &[u8; BLOCK_BYTES], set: [u8; 4]) -> (u64, u64) {
    let (parts, _) = block.as_chunks::<16>();
    let (mut marked, mut high) = (0, 0);
    for (i, part) in parts.iter().enumerate() {
        let part = Block::new(u128::from_le_bytes(*part));
        marked |= u64::from(part.any_of(set)) << (16 * i);
        high |= u64::from(part.high()) << (16 * i);
    }
    (marked, high)
}

/// With wider instructions, where the processor has them.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8,
    };

    use super::{BLOCK_BYTES, Marks};

    pub(super) fn is_there() -> bool {
        use std::arch::is_x86_feature_detected as has;
        has!("avx2") && has!("bmi1") && has!("popcnt")
    }

    pub(super) fn look(marks: &mut Marks, window: &[u8], set: [u8; 4]) {
        assert!(is_there(), "asked for before");
        // SAFETY: the processor has these instructions.
        unsafe { look_wide(marks, window, set) }
    }

    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn look_wide(marks: &mut Marks, window: &[u8], set: [u8; 4]) {
        let set = set.map(|byte| _mm256_set1_epi8(byte as i8));
        marks.look_with(window, |block| masks(block, &set));
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn masks(block: &[u8; BLOCK_BYTES], set: &[__m256i; 4]) -> (u64, u64) {
        let (mut marked, mut high) = (0, 0);
        for half in 0..2 {
            // SAFETY: 32 bytes are read, of the first or the second half of 64.
            let bytes = unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * half).cast()) };
            let [a, b, c, d] = [
                _mm256_cmpeq_epi8(bytes, set[0]),
                _mm256_cmpeq_epi8(bytes, set[1]),
                _mm256_cmpeq_epi8(bytes, set[2]),
                _mm256_cmpeq_epi8(bytes, set[3]),
            ];
            let any = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
            marked |= u64::from(_mm256_movemask_epi8(any) as u32) << (32 * half);
            high |= u64::from(_mm256_movemask_epi8(bytes) as u32) << (32 * half);
        }
        (marked, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agrees(marks: &Marks, window: &[u8], set: [u8; 4]) {
        let is_marked = |i: &usize| set.contains(&window[*i]);
        let want: Vec<_> = (0..window.len()).filter(is_marked).collect();
        let got: Vec<_> = marks.places().iter().map(|p| usize::from(*p)).collect();
        assert_eq!(got, want);
        for (number, block) in window.chunks(BLOCK_BYTES).enumerate() {
            let at = number * BLOCK_BYTES;
            assert_eq!(marks.may_be_high(at, at + block.len()), !block.is_ascii());
        }
        if !window.is_empty() && window.is_ascii() {
            assert!(!marks.may_be_high(0, window.len()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn every_way_finds_what_is_there(
            window in prop_oneof![
                prop::collection::vec(prop_oneof![
                    9 => b'a'..=b'z', 1 => any::<u8>(), 1 => Just(b','), 1 => Just(0),
                ], 0..300),
                prop::collection::vec(any::<u8>(), 0..=WINDOW_BYTES),
                Just(vec![b','; WINDOW_BYTES]),
            ],
            set in prop_oneof![any::<[u8; 4]>(), Just(*b",\"\n\0")],
        ) {
            let mut marks = Marks::default();
            // What was there before is gone.
            marks.look(&[0xff; 70], [0xff; 4]);
            marks.look(&window, set);
            agrees(&marks, &window, set);
            marks.look_with(&window, |block| masks(block, set));
            agrees(&marks, &window, set);
        }
    }
}
