//! Numbers in sentences.

/// `1 image is`, `2 images are`.
pub fn counted(n: usize, one: &str, more: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
}

/// The verb for `n` things.
pub fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}
