//! Choices, as they were drawn: a shorter tape, and one of less, makes a simpler query.

/// Numbers that choices are made from.
#[derive(Debug)]
pub(crate) struct Tape {
    choices: Vec<u32>,
    at: usize,
    /// What goes on behind the end; zeros if it is 0.
    state: u64,
}

impl Tape {
    /// These, and zeros behind them.
    pub(crate) fn new(choices: Vec<u32>) -> Self {
        Self {
            choices,
            at: 0,
            state: 0,
        }
    }

    /// A small generator's.
    pub(crate) fn endless(seed: u64) -> Self {
        Self {
            choices: Vec::new(),
            at: 0,
            state: seed | 1,
        }
    }

    /// A number below `bound`, the simplest being 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let next = match self.choices.get(self.at) {
            Some(&choice) => u64::from(choice),
            None if self.state == 0 => 0,
            None => {
                self.state = self
                    .state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                self.state >> 33
            }
        };
        self.at += 1;
        next % bound
    }

    /// One of these, the first being the simplest.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}
