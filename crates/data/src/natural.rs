//! The order of names in which people count: `2` before `10`.

use std::cmp::Ordering;

/// Compares names: those that are numbers (`0.33`, `-1`) come first, by their value; the others by their parts, runs of
/// digits as whole numbers, however long, all else as it is.
///
/// Names of one value (`1`, `01`) are told apart as text, so that no two different names are equal.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    match (value(a), value(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| by_parts(a, b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => by_parts(a, b),
    }
}

/// The value of a name that is a decimal number and nothing else.
fn value(name: &str) -> Option<f64> {
    let digits = name.strip_prefix('-').unwrap_or(name);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (all_digits(whole) && all_digits(part)).then(|| name.parse().ok()).flatten()
}

/// A sentence on names that are one number, written in several ways; `sorted` are in natural order.
pub(crate) fn of_one_number(sorted: &[String]) -> Option<String> {
    const NAMED: usize = 4;
    // As text, since numbers of many digits are not told apart by their value.
    let number = |name: &str| -> Option<(String, bool)> {
        value(name)?;
        let digits = name.trim_start_matches('-');
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = format!("{}.{}", whole.trim_start_matches('0'), part.trim_end_matches('0'));
        let negative = name.starts_with('-') && plain != ".";
        Some((plain, negative))
    };
    let of_one: Vec<String> = sorted
        .chunk_by(|a, b| number(a).is_some() && number(a) == number(b))
        .filter(|names| names.len() > 1)
        .map(|names| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" and "))
        .collect();
    let more = of_one.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more such numbers") } else { String::new() };
    let named = of_one.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    (!of_one.is_empty()).then(|| {
        format!(
            "classes of one number written in several ways: {named}{more}; if each is one class, write it in one way"
        )
    })
}

fn by_parts(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        match (rest_a.chars().next(), rest_b.chars().next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number_a, number_b);
                (number_a, rest_a) = number(rest_a);
                (number_b, rest_b) = number(rest_b);
                let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
                if order.is_ne() {
                    return order;
                }
            }
            (Some(x), Some(y)) if x == y => {
                rest_a = &rest_a[x.len_utf8()..];
                rest_b = &rest_b[y.len_utf8()..];
            }
            (Some(x), Some(y)) => return x.cmp(&y),
        }
    }
}

/// The digits that a name begins with, without leading zeros, and what follows.
fn number(name: &str) -> (&str, &str) {
    let end = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
    (name[..end].trim_start_matches('0'), &name[end..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_count_and_text_is_text() {
        let ordered = [
            "-1", "0", "0.0", "0.33", "0.6", "01", "1", "2", "10", "", "2b", "10a", "a", "a2", "a10", "a10b", "b", "é",
        ];
        for (n, a) in ordered.iter().enumerate() {
            for (m, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), n.cmp(&m), "{a:?} and {b:?}");
            }
        }
        assert_eq!(compare("99999999999999999999999", "100000000000000000000000"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn it_is_an_order(mut names in prop::collection::vec("[0-2ab.-]{0,4}", 3)) {
            prop_assert_eq!(compare(&names[0], &names[1]), compare(&names[1], &names[0]).reverse());
            prop_assert_eq!(compare(&names[0], &names[1]).is_eq(), names[0] == names[1]);
            names.sort_by(|a, b| compare(a, b));
            prop_assert!(compare(&names[0], &names[2]).is_le());
        }
    }

    #[test]
    fn numbers_written_in_several_ways_are_told() {
        let told = |names: &[&str]| of_one_number(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(told(&["0", "1", "2", "10", "a", "A"]), None);
        assert_eq!(told(&["-1", "1", "v1", "v01"]), None);
        assert_eq!(told(&["12345678901234567890", "12345678901234567891"]), None);
        let expected = "classes of one number written in several ways: \"0\" and \"00\", \"01\" and \"1\" and \"1.0\"; \
                        if each is one class, write it in one way";
        let mut names = ["1.0", "00", "1", "2", "01", "0"].map(str::to_owned);
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(of_one_number(&names).as_deref(), Some(expected));
    }
}
