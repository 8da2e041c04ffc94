//! The roofline of keyed aggregation: what a careful programmer writes by hand for just this query
//! and these columns. It knows the number of keys, that nothing is NULL and no value NaN, and it
//! does not compensate its sums. One slot is one cache line, hashes are made for a block of rows,
//! slots are fetched sixteen rows ahead; results leave in blocks of columns, as the engine's do.

use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Instant;

use super::data::{Data, Digest};

/// Rows hashed together.
const BLOCK: usize = 512;
/// How far ahead slots are fetched.
const AHEAD: usize = 16;
/// Groups of a block of results.
const OUT_ROWS: usize = 1024;
/// The table is aligned to, and advised as, pages of this size.
const HUGE: usize = 2 << 20;

/// A group; free while its count is 0.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Slot {
    key: i64,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

/// Slots at addresses of their own, zero at first.
struct Table {
    mapping: NonNull<libc::c_void>,
    bytes: usize,
    slots: NonNull<Slot>,
    mask: usize,
}

impl Table {
    /// Room for `keys` groups, three quarters full at most.
    fn new(keys: usize) -> std::io::Result<Self> {
        let capacity = (keys * 4 / 3 + 1).next_power_of_two();
        let bytes = capacity * size_of::<Slot>() + HUGE;
        // SAFETY: an anonymous mapping at an address of the system's choice touches no memory of
        // ours.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let mapping = match NonNull::new(mapping) {
            Some(mapping) if mapping.as_ptr() != libc::MAP_FAILED => mapping,
            _ => return Err(std::io::Error::last_os_error()),
        };
        let skip = mapping.cast::<u8>().align_offset(HUGE);
        // SAFETY: `skip` is below HUGE, by which the mapping is longer than the slots.
        let slots = unsafe { mapping.cast::<u8>().add(skip) };
        // SAFETY: the range is the mapping's. Advice only: without huge pages it is slower.
        unsafe { libc::madvise(slots.as_ptr().cast(), bytes - HUGE, libc::MADV_HUGEPAGE) };
        Ok(Self {
            mapping,
            bytes,
            slots: slots.cast(),
            mask: capacity - 1,
        })
    }

    #[inline(always)]
    fn prefetch(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing that the program could see, at whatever address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.slots.as_ptr().wrapping_add(at).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    fn update(&mut self, keys: &[i64], values: &[f64]) {
        let mut places = [0usize; BLOCK];
        for (keys, values) in keys.chunks(BLOCK).zip(values.chunks(BLOCK)) {
            let places = &mut places[..keys.len()];
            for (place, &key) in places.iter_mut().zip(keys) {
                *place = hash(key) & self.mask;
            }
            for &place in &places[..keys.len().min(AHEAD)] {
                self.prefetch(place);
            }
            for (i, (&key, &value)) in keys.iter().zip(values).enumerate() {
                self.prefetch(places[(i + AHEAD).min(places.len() - 1)]);
                self.add(places[i], key, value);
            }
        }
    }

    #[inline(always)]
    fn add(&mut self, mut at: usize, key: i64, value: f64) {
        loop {
            // SAFETY: `at` is masked, the mapping holds mask + 1 slots, and all bits zero are a
            // slot.
            let slot = unsafe { &mut *self.slots.as_ptr().add(at) };
            if slot.count == 0 {
                *slot = Slot {
                    key,
                    count: 1,
                    sum: value,
                    min: value,
                    max: value,
                };
                return;
            }
            if slot.key == key {
                slot.count += 1;
                slot.sum += value;
                slot.min = if value < slot.min { value } else { slot.min };
                slot.max = if value > slot.max { value } else { slot.max };
                return;
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Gives the groups in blocks of columns.
    fn emit(&self, out: &mut Columns, mut take: impl FnMut(&Columns)) {
        // SAFETY: the mapping holds mask + 1 slots, of which all bits zero are one.
        let slots = unsafe { std::slice::from_raw_parts(self.slots.as_ptr(), self.mask + 1) };
        for slot in slots.iter().filter(|s| s.count > 0) {
            out.keys.push(slot.key);
            out.counts.push(slot.count as i64);
            out.sums.push(slot.sum);
            out.mins.push(slot.min);
            out.maxs.push(slot.max);
            if out.keys.len() == OUT_ROWS {
                take(out);
                out.clear();
            }
        }
        take(out);
        out.clear();
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, unmapped once.
        unsafe { libc::munmap(self.mapping.as_ptr(), self.bytes) };
    }
}

/// The folded product with one odd constant.
#[inline(always)]
fn hash(key: i64) -> usize {
    let product = u128::from(key as u64) * 0x9e37_79b9_7f4a_7c15;
    product as usize ^ (product >> 64) as usize ^ (product as usize >> 32)
}

#[derive(Debug, Default)]
struct Columns {
    keys: Vec<i64>,
    counts: Vec<i64>,
    sums: Vec<f64>,
    mins: Vec<f64>,
    maxs: Vec<f64>,
}

impl Columns {
    fn clear(&mut self) {
        self.keys.clear();
        self.counts.clear();
        self.sums.clear();
        self.mins.clear();
        self.maxs.clear();
    }
}

/// Aggregates on this thread. Gives the seconds that it took from an empty table to the last
/// result, and the results' digest, which is made behind the clock's back.
pub(super) fn aggregate(data: &Data) -> std::io::Result<(f64, Digest)> {
    let clock = Instant::now();
    let mut out = Columns::default();
    let mut table = Table::new(data.size.keys.count())?;
    for _ in 0..data.size.rounds {
        table.update(data.keys.values(), data.values.values());
    }
    table.emit(&mut out, |columns| {
        black_box(columns);
    });
    let seconds = clock.elapsed().as_secs_f64();
    let mut digest = Digest::default();
    table.emit(&mut out, |columns| {
        for row in 0..columns.keys.len() {
            let (key, count) = (columns.keys[row], columns.counts[row]);
            digest.add(
                key,
                count,
                columns.sums[row],
                columns.mins[row],
                columns.maxs[row],
            );
        }
    });
    Ok((seconds, digest))
}
