//! Seeded pseudo-random numbers: xoshiro256** seeded through splitmix64.
//!
//! One seed gives one sequence, on every platform and in every version: simulation replays a failure
//! from its seed alone, so the generator is part of what must not change. It is not for secrets.
//!
//! Source: Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators" (2018).

use std::ops::Range;

/// A generator of pseudo-random numbers.
///
/// - The state is never all zero (splitmix64 over four outputs cannot give four zeros).
/// - The sequence depends on the seed and the calls made, on nothing else.
#[derive(Clone, Debug)]
pub struct Prng {
    state: [u64; 4],
}

/// One step of splitmix64: advances `state` and returns the next output.
pub fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Prng {
    pub fn new(seed: u64) -> Prng {
        let mut mixer = seed;
        Prng { state: std::array::from_fn(|_| splitmix64(&mut mixer)) }
    }

    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number in `0..bound`, without bias.
    ///
    /// Panics if `bound` is zero. Source: Lemire, "Fast Random Integer Generation in an Interval" (2019).
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no member to draw");
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// A number in `range`. Panics if the range is empty.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        assert!(range.start < range.end, "an empty range has no member to draw");
        range.start + self.below(range.end - range.start)
    }

    /// An index into a collection of `count` members. Panics if it is empty.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// A number in `[0, 1)`, with 53 bits.
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// True with the given probability: never at 0, always at 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    pub fn choose<'a, T>(&mut self, members: &'a [T]) -> Option<&'a T> {
        if members.is_empty() { None } else { Some(&members[self.index(members.len())]) }
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, members: &mut [T]) {
        for last in (1..members.len()).rev() {
            let other = self.index(last + 1);
            members.swap(last, other);
        }
    }

    pub fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// A generator of its own, so that what one component draws does not shift what another one sees.
    pub fn fork(&mut self) -> Prng {
        Prng::new(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_is_frozen() {
        // Reference outputs of splitmix64 with seed 0 (published test vector), then our own frozen ones.
        let mut state = 0;
        assert_eq!(splitmix64(&mut state), 0xE220_A839_7B1D_CDAF);
        assert_eq!(splitmix64(&mut state), 0x6E78_9E6A_A1B9_65F4);
        let mut prng = Prng { state: [1, 2, 3, 4] };
        // xoshiro256** reference: state 1,2,3,4 gives 11520, 0, 1509978240, 1215971899390074240.
        let drawn: Vec<u64> = (0..4).map(|_| prng.next_u64()).collect();
        assert_eq!(drawn, [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);
    }

    #[test]
    fn below_covers_its_range_and_stays_in_it() {
        let mut prng = Prng::new(7);
        let mut counts = [0u32; 10];
        for _ in 0..10_000 {
            counts[prng.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(prng.below(1), 0);
    }

    #[test]
    fn chance_is_never_at_zero_and_always_at_one() {
        let mut prng = Prng::new(1);
        assert!((0..1000).all(|_| !prng.chance(0.0)));
        assert!((0..1000).all(|_| prng.chance(1.0)));
    }

    #[test]
    fn forks_do_not_disturb_each_other() {
        let mut left = Prng::new(3);
        let mut fork_of_left = left.fork();
        let mut right = Prng::new(3);
        let _ = right.fork();
        fork_of_left.next_u64();
        assert_eq!(left.next_u64(), right.next_u64());
    }

    #[test]
    fn shuffle_keeps_every_member() {
        let mut members: Vec<u32> = (0..100).collect();
        Prng::new(5).shuffle(&mut members);
        assert_ne!(members, (0..100).collect::<Vec<_>>());
        members.sort_unstable();
        assert_eq!(members, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn fill_bytes_fills_a_tail_that_is_not_a_word() {
        let mut bytes = [0u8; 13];
        Prng::new(9).fill_bytes(&mut bytes);
        assert!(bytes[8..].iter().any(|byte| *byte != 0));
    }
}
