//! What files about a person's own picture are called.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The most bytes of a name that are kept. Some file systems that encrypt names take 143 in all; the rest is for what
/// stands before and after it, and for the temporary name under which a file is written.
const MOST_BYTES: usize = 112;

/// The picture's name, as far as every file system takes it, after a word that no other file begins with, and a short
/// hash of where the picture is: of two that are called alike none takes the other's place, and one that was drawn anew
/// takes its own.
pub(super) fn of_picture(path: &Path) -> String {
    let place = fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let hash = Sha256::digest(place.as_os_str().as_encoded_bytes());
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("file-{}-{hash}", kept(&path.file_stem().unwrap_or_default().to_string_lossy()))
}

/// The name without what some file system cannot have in one, or nobody can see, and not too long.
fn kept(name: &str) -> String {
    let invisible =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let refused = |c: char| c.is_control() || invisible(c) || "/\\:*?\"<>|".contains(c);
    let name: String = name.chars().map(|c| if refused(c) { '-' } else { c }).collect();
    name[..name.floor_char_boundary(MOST_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_far_as_file_systems_take_them() {
        for (name, expected) in [
            ("7", "7"),
            ("数字七", "数字七"),
            ("cafe\u{301} №7 (b)", "cafe\u{301} №7 (b)"),
            ("a:b*c?d\"e<f>g|h\\i", "a-b-c-d-e-f-g-h-i"),
            ("evil\u{202e}gnp\u{1b}[31m\n", "evil-gnp-[31m-"),
        ] {
            assert_eq!(kept(name), expected);
        }
        let long = kept(&"七".repeat(500));
        assert_eq!((long.len(), long.chars().count()), (111, 37));
    }

    #[test]
    fn pictures_that_are_called_alike_have_different_names() {
        let paths = ["a/7.png", "b/7.png", "7.PNG", "数.png", "七.png", "CON.png", "con.png", ".png", ".."];
        let mut names: Vec<String> = paths.iter().map(|path| of_picture(Path::new(path))).collect();
        assert!(names[0].starts_with("file-7-") && names[3].starts_with("file-数-"), "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("file-")), "no name that Windows keeps for itself: {names:?}");
        assert_eq!(of_picture(Path::new("./a/7.png")), names[0], "the same picture");
        names.sort_by_key(|name| name.to_lowercase());
        names.dedup_by_key(|name| name.to_lowercase());
        assert_eq!(names.len(), paths.len());
    }
}
