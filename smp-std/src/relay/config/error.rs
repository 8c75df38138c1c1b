//! What can be wrong with a configuration.

/// Why a configuration cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read or written.
    Io(std::io::Error),
    /// The file is not TOML, or holds options that do not exist or have the wrong type.
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An option has a value that makes no sense.
    Value(&'static str),
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            // Not the line itself, which could hold the password.
            Self::Syntax { line, message } => write!(f, "line {line}: {message}"),
            Self::Value(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ConfigError {}
