//! How classes are called in tables and charts, and which of them are confused.

/// The longest name in a table, in characters.
const LONGEST: usize = 32;
/// The longest name at the head of a column.
const SHORT: usize = 4;
/// Classes beyond which a matrix of them is not read.
pub(crate) const MATRIX: usize = 26;

/// A class's name, cut where it is long; its number where it has none.
pub fn class_name(names: &[String], class: usize) -> String {
    names.get(class).map_or_else(|| class.to_string(), |name| cut(name, LONGEST))
}

/// At most so many characters, the last of them a mark where there were more.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['\u{2026}']).collect(),
    }
}

/// What stands below the classes of a chart with room for so many `characters`: names, cut where they are long; numbers
/// where too little of a name would be left to tell it from others.
pub(crate) fn ticks(names: &[String], classes: usize, characters: usize) -> Vec<String> {
    let room = (characters / classes.max(1)).saturating_sub(1);
    let called: Vec<String> = (0..classes).map(|class| cut(&class_name(names, class), room)).collect();
    let mut different = called.clone();
    different.sort_unstable();
    different.dedup();
    let whole = (0..classes).all(|class| called[class] == class_name(names, class));
    if whole || (room > SHORT && different.len() == classes) {
        called
    } else {
        (0..classes).map(|class| class.to_string()).collect()
    }
}

/// What stands at the heads of the rows and of the columns of a matrix: short names; or numbers, and in rows the names
/// too.
pub(crate) fn heads(names: &[String], classes: usize) -> [Vec<String>; 2] {
    let called: Vec<String> = (0..classes).map(|class| class_name(names, class)).collect();
    if called.iter().all(|name| name.chars().count() <= SHORT) {
        return [called.clone(), called];
    }
    // Numbers, unless a name is one, which would be taken for another class.
    let letters = called.iter().any(|name| name.parse::<f64>().is_ok()) && classes <= MATRIX;
    let columns: Vec<String> = (0..classes)
        .map(|class| if letters { char::from(b'A' + class as u8).to_string() } else { class.to_string() })
        .collect();
    [columns.iter().zip(&called).map(|(column, name)| format!("{column}: {name}")).collect(), columns]
}

/// The pairs of a true class and the class that it is taken for, with how often that happens: the most frequent first,
/// none that does not occur.
pub(crate) fn confused(confusion: &[Vec<f64>]) -> Vec<(usize, usize, f64)> {
    let cells = confusion.iter().enumerate().flat_map(|(row, counts)| {
        let wrong = counts.iter().enumerate().filter(move |&(column, &n)| column != row && n > 0.0);
        wrong.map(move |(column, &n)| (row, column, n))
    });
    let mut pairs: Vec<_> = cells.collect();
    pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn long_names_are_cut_and_missing_ones_are_numbers() {
        let names = named(&["cat", &"\u{e9}".repeat(32), &"\u{e9}".repeat(33)]);
        assert_eq!(class_name(&names, 0), "cat");
        assert_eq!(class_name(&names, 1).chars().count(), 32);
        assert!(class_name(&names, 2).ends_with("\u{e9}\u{2026}") && class_name(&names, 2).chars().count() == 32);
        assert_eq!(class_name(&names, 3), "3");
    }

    #[test]
    fn columns_have_names_only_where_all_are_short() {
        assert_eq!(heads(&named(&["cat", "dog"]), 3), [named(&["cat", "dog", "2"]), named(&["cat", "dog", "2"])]);
        assert_eq!(heads(&named(&["cat", "sheep"]), 2), [named(&["0: cat", "1: sheep"]), named(&["0", "1"])]);
        assert_eq!(heads(&named(&["1", "sheep"]), 2), [named(&["A: 1", "B: sheep"]), named(&["A", "B"])]);
    }

    #[test]
    fn charts_have_names_where_there_is_room() {
        assert_eq!(ticks(&named(&["sandal", "ankle boot"]), 2, 20), named(&["sandal", "ankle bo\u{2026}"]));
        assert_eq!(ticks(&named(&["sandal", "sandwich"]), 2, 10), named(&["0", "1"]));
        assert_eq!(ticks(&named(&["a", "b", "c"]), 3, 6), named(&["a", "b", "c"]));
        assert_eq!(ticks(&named(&["ankle boot", "ankle bone"]), 2, 18), named(&["0", "1"]), "cut, they are one");
        assert_eq!(ticks(&[], 2, 100), named(&["0", "1"]));
    }

    #[test]
    fn the_most_frequent_confusion_comes_first() {
        let confusion = [vec![5.0, 1.0, 0.0], vec![0.5, 9.0, 2.0], vec![1.0, 0.0, 7.0]];
        assert_eq!(confused(&confusion), [(1, 2, 2.0), (0, 1, 1.0), (2, 0, 1.0), (1, 0, 0.5)]);
        assert_eq!(confused(&[]), []);
    }
}
