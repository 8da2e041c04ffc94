//! Newtypes for everything that is counted: one number is never taken for another.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index into a vector.
            #[inline]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// A source of a program.
    SourceId
);
id!(
    /// An exchange of a program; topologically numbered.
    ExchangeId
);
id!(
    /// An output of a program.
    OutputId
);
