//! Chance that can be played again: the same seed gives the same numbers, on every machine.

pub struct Dice(u64);

impl Dice {
    /// Of their own for each scenario, so that one more scenario changes nothing about the others.
    pub fn new(seed: u64, scenario: &str) -> Self {
        let mixed = scenario.bytes().fold(seed, |mixed, byte| {
            mixed.wrapping_mul(31).wrapping_add(byte.into())
        });
        Self(mixed)
    }

    /// A number from `from` to `to`, both included. (SplitMix64.)
    pub fn roll(&mut self, from: u64, to: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + (z ^ (z >> 31)) % (to - from + 1)
    }
}
