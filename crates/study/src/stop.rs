//! When a recipe stops before its last epoch, as a study file says it: `stop = "valid_accuracy >= 0.99"`.

const FORM: &str = "expected \"valid_accuracy >= 0.99\", with a number above 0 and at most 1";

/// The validation accuracy to reach, or a sentence about what is wrong with the text.
pub(crate) fn parse(text: &str) -> Result<f64, String> {
    let wrong = || format!("stop is {text:?}, {FORM}");
    let rest = text.trim().strip_prefix("valid_accuracy").ok_or_else(wrong)?;
    let number = rest.trim_start().strip_prefix(">=").ok_or_else(wrong)?;
    let target: f64 = number.trim().parse().map_err(|_| wrong())?;
    if target > 0.0 && target <= 1.0 { Ok(target) } else { Err(wrong()) }
}

/// The text that parses to `target`.
pub(crate) fn write(target: f64) -> String {
    format!("valid_accuracy >= {target}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_read_and_written() {
        for text in ["valid_accuracy >= 0.99", "  valid_accuracy>=0.99 "] {
            assert_eq!(parse(text), Ok(0.99));
        }
        assert_eq!(parse(&write(0.1 + 0.2)), Ok(0.1 + 0.2));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "0.99", "valid_accuracy", "valid_accuracy > 0.99", "valid_loss >= 0.1", "valid_accuracy >= NaN"]
        {
            assert!(parse(text).unwrap_err().contains("expected \"valid_accuracy >= 0.99\""), "{text}");
        }
        for number in ["0", "-1", "1.01", "99", "inf"] {
            assert!(parse(&format!("valid_accuracy >= {number}")).is_err(), "{number}");
        }
    }
}
