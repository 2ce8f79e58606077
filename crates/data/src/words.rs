//! Numbers in sentences.

/// `1 image is`, `2 images are`.
pub fn counted(n: usize, one: &str, more: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
}

/// The first `most` of many names, and how many more there are.
pub fn listed(names: &[String], most: usize) -> String {
    match names.len().checked_sub(most) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..most].join(", ")),
    }
}

/// The verb for `n` things.
pub fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}
