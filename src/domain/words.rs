//! Enums whose values are words of files, documents, logs and metrics: each value is written beside
//! its word, once.

/// An enum, the list of its values, and the way from a value to its word and back.
macro_rules! words {
    ($(#[$about:meta])* pub enum $name:ident {
        $($(#[$meaning:meta])* $value:ident = $word:literal,)+
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$meaning])* $value,)+
        }

        impl $name {
            /// All values, in their order.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$value),+];

            /// The word for it, wherever it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }

            /// The value that `text` is the word for.
            pub fn named(text: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str() == text)
            }
        }
    };
}

pub(crate) use words;
