//! Numbers as people read them. A number that does not exist (NaN or infinite) is a dash.

/// What stands where there is no number.
pub const NONE: &str = "-";

/// A fraction as a percentage with two decimals: `0.9868` is `98.68%`.
pub fn percent(fraction: f64) -> String {
    if fraction.is_finite() { format!("{:.2}%", fraction * 100.0) } else { NONE.to_owned() }
}

/// A difference of shares in points, without a minus before 0: `0.42`.
pub fn points(difference: f64, decimals: usize) -> String {
    if !difference.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{:.decimals$}", 100.0 * difference);
    let is_zero = !text.contains(|character: char| ('1'..='9').contains(&character));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

/// A change of a share in points, with its sign unless it is 0: `+0.42`.
pub fn change_in_points(change: f64, decimals: usize) -> String {
    let text = points(change, decimals);
    let positive = text.starts_with(|first: char| first.is_ascii_digit()) && text != points(0.0, decimals);
    if positive { format!("+{text}") } else { text }
}

/// A duration in seconds, with the precision that a person would use: `0.84 s`, `23.1 s`, `1 min 23 s`, `2 h 05 min`.
pub fn seconds(duration_s: f64) -> String {
    if !duration_s.is_finite() || duration_s < 0.0 {
        return NONE.to_owned();
    }
    // Decide by the rounded value, so that 59.96 is a minute and not "60.0 s".
    if duration_s < 9.995 {
        format!("{duration_s:.2} s")
    } else if duration_s < 59.95 {
        format!("{duration_s:.1} s")
    } else if duration_s < 3599.5 {
        let whole = duration_s.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        let minutes = (duration_s / 60.0).round() as u64;
        format!("{} h {:02} min", count(minutes / 60), minutes % 60)
    }
}

/// A whole number with separators between thousands: `3,274,634`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of at least 0 to three significant digits: `0.217`, `1.30`, `12.4`, `3.1e-5`.
pub fn significant(number: f32) -> String {
    let magnitude = f64::from(number).abs();
    if !magnitude.is_finite() {
        NONE.to_owned()
    } else if magnitude == 0.0 {
        "0".to_owned()
    } else if !(0.000_999_5..99_950.0).contains(&magnitude) {
        format!("{magnitude:.1e}")
    } else {
        let decimals = (0..6).find(|decimals| magnitude * 10f64.powi(*decimals) >= 99.5).unwrap_or(6);
        format!("{magnitude:.*}", decimals as usize)
    }
}

/// What balanced accuracy is, of a data set in which `occurring` of `classes` occur.
pub fn balanced_accuracy(occurring: usize, classes: usize) -> String {
    if occurring == classes {
        "mean recall over the classes".to_owned()
    } else {
        format!("mean recall over the classes that occur ({occurring} of {classes})")
    }
}

/// Names in a sentence: `a`, `a and b`, `a, b and c`.
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_two_decimals() {
        let cases = [(0.9868, "98.68%"), (1.0, "100.00%"), (0.0, "0.00%"), (0.98995, "99.00%"), (f64::NAN, "-")];
        for (fraction, expected) in cases {
            assert_eq!(percent(fraction), expected);
        }
    }

    #[test]
    fn differences_are_points_and_zero_has_no_sign() {
        let cases = [
            (0.0042, 2, "0.42", "+0.42"),
            (-0.0003, 2, "-0.03", "-0.03"),
            (0.0, 2, "0.00", "0.00"),
            (0.00001, 2, "0.00", "0.00"),
            (-0.00001, 1, "0.0", "0.0"),
            (-1.0, 1, "-100.0", "-100.0"),
            (f64::NAN, 2, "-", "-"),
            (f64::INFINITY, 2, "-", "-"),
        ];
        for (share, decimals, difference, change) in cases {
            let found = (points(share, decimals), change_in_points(share, decimals));
            assert_eq!(found, (difference.to_owned(), change.to_owned()), "{share}");
        }
    }

    #[test]
    fn durations_read_like_speech() {
        let cases = [
            (0.0, "0.00 s"),
            (0.84, "0.84 s"),
            (9.994, "9.99 s"),
            (9.996, "10.0 s"),
            (23.14, "23.1 s"),
            (59.94, "59.9 s"),
            (59.96, "1 min 00 s"),
            (83.0, "1 min 23 s"),
            (3599.4, "59 min 59 s"),
            (3599.6, "1 h 00 min"),
            (7500.0, "2 h 05 min"),
            (-1.0, "-"),
            (f64::INFINITY, "-"),
        ];
        for (duration_s, expected) in cases {
            assert_eq!(seconds(duration_s), expected, "{duration_s}");
        }
    }

    #[test]
    fn names_are_listed_as_one_says_them() {
        assert_eq!([&[][..], &["a"], &["a", "b"], &["a", "b", "c"]].map(listed), ["", "a", "a and b", "a, b and c"]);
    }

    #[test]
    fn counts_have_separators() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (3_274_634, "3,274,634"), (10_000_000, "10,000,000")];
        for (number, expected) in cases {
            assert_eq!(count(number), expected);
        }
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn scale_limits_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.217_4, "0.217"),
            (0.9996, "1.00"),
            (1.3, "1.30"),
            (12.36, "12.4"),
            (345.6, "346"),
            (12_345.0, "12345"),
            (0.001_234, "0.00123"),
            (0.000_031, "3.1e-5"),
            (1.0e6, "1.0e6"),
            (f32::NAN, "-"),
        ];
        for (number, expected) in cases {
            assert_eq!(significant(number), expected, "{number}");
        }
    }
}
