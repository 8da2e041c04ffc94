//! Sixteen bytes that are compared at once. Bit i of a mask is byte i.

#[cfg(not(target_arch = "x86_64"))]
pub(super) use self::portable::Block;
#[cfg(target_arch = "x86_64")]
pub(super) use self::sse2::Block;

/// With the vector instructions that every x86-64 has.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(in crate::format::scan) struct Block(__m128i);

    impl Block {
        #[inline(always)]
        pub(in crate::format::scan) fn new(bytes: u128) -> Self {
            // SAFETY: every x86-64 has SSE2.
            Self(unsafe { _mm_set_epi64x((bytes >> 64) as i64, bytes as i64) })
        }

        /// Bytes above 127.
        #[inline(always)]
        pub(in crate::format::scan) fn high(self) -> u32 {
            // SAFETY: every x86-64 has SSE2.
            unsafe { _mm_movemask_epi8(self.0) as u32 }
        }

        /// Bytes that end or interrupt the text of a JSON string.
        #[inline(always)]
        pub(in crate::format::scan) fn ends_json_text(self) -> u32 {
            // SAFETY: every x86-64 has SSE2.
            unsafe {
                let quote = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(b'"' as i8));
                let escape = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(b'\\' as i8));
                let control = _mm_cmpeq_epi8(_mm_min_epu8(self.0, _mm_set1_epi8(0x1f)), self.0);
                _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, escape), control)) as u32
            }
        }

        /// Bytes that are one of four.
        #[inline(always)]
        pub(in crate::format::scan) fn any_of(self, [a, b, c, d]: [u8; 4]) -> u32 {
            // SAFETY: every x86-64 has SSE2.
            unsafe {
                let a = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(a as i8));
                let b = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(b as i8));
                let c = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(c as i8));
                let d = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(d as i8));
                _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))) as u32
            }
        }
    }
}

/// Without vector instructions: for other machines, and to test against.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(in crate::format::scan) struct Block([u8; 16]);

    impl Block {
        #[inline(always)]
        pub(in crate::format::scan) fn new(bytes: u128) -> Self {
            Self(bytes.to_le_bytes())
        }

        #[inline(always)]
        fn mask(self, is: impl Fn(u8) -> bool) -> u32 {
            let bits = self.0.iter().enumerate();
            bits.fold(0, |mask, (i, &b)| mask | u32::from(is(b)) << i)
        }

        #[inline(always)]
        pub(in crate::format::scan) fn high(self) -> u32 {
            self.mask(|b| b > 127)
        }

        #[inline(always)]
        pub(in crate::format::scan) fn ends_json_text(self) -> u32 {
            self.mask(super::super::ends_json_text)
        }

        #[inline(always)]
        pub(in crate::format::scan) fn any_of(self, set: [u8; 4]) -> u32 {
            self.mask(|b| set.contains(&b))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_are_the_same_on_every_machine(bytes in any::<u128>(), set in any::<[u8; 4]>()) {
            let (block, same) = (Block::new(bytes), portable::Block::new(bytes));
            prop_assert_eq!(block.high(), same.high());
            prop_assert_eq!(block.ends_json_text(), same.ends_json_text());
            prop_assert_eq!(block.any_of(set), same.any_of(set));
        }
    }
}
