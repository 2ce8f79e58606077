//! What predictions are worth: confusion, precision, recall, F1, accuracy and balanced accuracy.
//!
//! Definitions are scikit-learn's, except that a quotient 0/0 is no number: of a class that no image belongs to,
//! nothing is known, and 0 would read as the worst there can be.

use serde::{Deserialize, Serialize};

/// What a network reached on some examples. Quotients are 0 to 1.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Metrics {
    /// Mean cross-entropy per example, in nats; none if it is not finite.
    pub loss: Option<f64>,
    /// The share of right predictions.
    pub accuracy: f64,
    /// The mean recall of the classes that occur in the labels.
    pub balanced_accuracy: f64,
    /// One per class.
    pub per_class: Vec<ClassMetrics>,
    /// Examples, `[true class][predicted class]`.
    pub confusion: Vec<Vec<u64>>,
}

/// What a network reached on one class.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Of the examples predicted as this class, the share that is of it; null if there are none.
    pub precision: Option<f64>,
    /// Of the examples of this class, the share that was predicted so; null if there are none.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall, which is 0 if no example was right; null if the class neither occurs
    /// nor is predicted.
    pub f1: Option<f64>,
    /// Examples of this class.
    pub support: u64,
}

/// Metrics as they stand in a file. Earlier versions wrote 0 for 0/0.
#[derive(Deserialize)]
struct Written {
    loss: Option<f64>,
    accuracy: f64,
    balanced_accuracy: f64,
    per_class: Vec<ClassMetrics>,
    confusion: Vec<Vec<u64>>,
}

impl From<Written> for Metrics {
    fn from(written: Written) -> Metrics {
        let Written { loss, accuracy, balanced_accuracy, mut per_class, confusion } = written;
        for (class, figures) in per_class.iter_mut().enumerate() {
            // A file may hold anything: a matrix that is no square, and counts whose sum is too large for a number.
            let absent = confusion.get(class).is_some_and(|row| row.iter().all(|&count| count == 0));
            let unpredicted = confusion.iter().all(|row| row.get(class) == Some(&0));
            let undefined = |figure: &mut Option<f64>| *figure = figure.filter(|&figure| figure != 0.0);
            if unpredicted {
                undefined(&mut figures.precision);
            }
            if absent {
                undefined(&mut figures.recall);
            }
            if absent && unpredicted {
                undefined(&mut figures.f1);
            }
        }
        Metrics { loss, accuracy, balanced_accuracy, per_class, confusion }
    }
}

impl Metrics {
    /// Measures predictions against labels, both `[N]` with values below `classes`; `loss` is their mean cross-entropy.
    pub fn new(labels: &[u16], predictions: &[u16], classes: usize, loss: f64) -> Metrics {
        Metrics::of(confusion(labels, predictions, classes), loss)
    }

    /// What follows from a confusion matrix, `[classes][classes]`, and the mean cross-entropy.
    pub(crate) fn of(confusion: Vec<Vec<u64>>, loss: f64) -> Metrics {
        let classes = confusion.len();
        let of_class = |class: usize| {
            let right = confusion[class][class];
            let support = confusion[class].iter().sum();
            let predicted = confusion.iter().map(|row| row[class]).sum();
            ClassMetrics {
                precision: quotient(right, predicted),
                recall: quotient(right, support),
                // 2 P R / (P + R), without dividing twice.
                f1: quotient(2 * right, support + predicted),
                support,
            }
        };
        let per_class: Vec<ClassMetrics> = (0..classes).map(of_class).collect();
        let recalls = per_class.iter().filter_map(|class| class.recall);
        let occurring = recalls.clone().count();
        let right = (0..classes).map(|class| confusion[class][class]).sum();
        let examples = per_class.iter().map(|class| class.support).sum();
        Metrics {
            loss: loss.is_finite().then_some(loss),
            accuracy: quotient(right, examples).unwrap_or(0.0),
            balanced_accuracy: if occurring == 0 { 0.0 } else { recalls.sum::<f64>() / occurring as f64 },
            per_class,
            confusion,
        }
    }

    /// How many classes occur among the examples: those whose mean recall is the balanced accuracy.
    pub fn occurring(&self) -> usize {
        self.per_class.iter().filter(|class| class.support > 0).count()
    }
}

/// How many examples of each true class were predicted as which class: `[true class][predicted class]`.
///
/// # Panics
/// If there are not as many predictions as labels, or one of either is not below `classes`.
pub fn confusion(labels: &[u16], predictions: &[u16], classes: usize) -> Vec<Vec<u64>> {
    assert_eq!(labels.len(), predictions.len(), "one prediction per label");
    let mut confusion = vec![vec![0; classes]; classes];
    for (&label, &prediction) in labels.iter().zip(predictions) {
        confusion[usize::from(label)][usize::from(prediction)] += 1;
    }
    confusion
}

fn quotient(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Fixtures {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        classes: usize,
        labels: Vec<u16>,
        predictions: Vec<u16>,
        accuracy: f64,
        balanced_accuracy: f64,
        macro_f1: f64,
        precision: Vec<f64>,
        recall: Vec<f64>,
        f1: Vec<f64>,
        support: Vec<f64>,
        confusion: Vec<Vec<u64>>,
    }

    #[test]
    fn numbers_are_scikit_learns() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/metrics.json");
        let fixtures: Fixtures = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(!fixtures.cases.is_empty());
        for case in fixtures.cases {
            let ours = Metrics::new(&case.labels, &case.predictions, case.classes, 0.5);
            let near = |what: &str, ours: f64, theirs: f64| {
                assert!((ours - theirs).abs() <= 1e-12, "{}: {what} is {ours}, scikit-learn says {theirs}", case.name);
            };
            near("accuracy", ours.accuracy, case.accuracy);
            near("balanced accuracy", ours.balanced_accuracy, case.balanced_accuracy);
            // Where there is 0/0, scikit-learn was told to say 0.
            let or_zero = |figure: Option<f64>| figure.unwrap_or(0.0);
            let f1 = ours.per_class.iter().map(|class| or_zero(class.f1));
            near("macro F1", f1.sum::<f64>() / case.classes as f64, case.macro_f1);
            for (class, m) in ours.per_class.iter().enumerate() {
                near("precision", or_zero(m.precision), case.precision[class]);
                near("recall", or_zero(m.recall), case.recall[class]);
                near("F1", or_zero(m.f1), case.f1[class]);
                near("support", m.support as f64, case.support[class]);
                let (occurs, predicted) =
                    (case.labels.contains(&(class as u16)), case.predictions.contains(&(class as u16)));
                let defined = (m.precision.is_some(), m.recall.is_some(), m.f1.is_some());
                assert_eq!(defined, (predicted, occurs, occurs || predicted), "{}: class {class}", case.name);
            }
            assert_eq!(ours.confusion, case.confusion, "{}", case.name);
        }
    }

    #[test]
    fn zeros_that_earlier_versions_wrote_for_no_number_are_none() {
        // Class 2 does not occur, class 1 is never predicted, class 3 neither.
        let metrics = Metrics::new(&[0, 0, 1], &[0, 2, 2], 4, 0.5);
        let json = serde_json::to_string(&metrics).unwrap();
        assert_eq!(json.matches("null").count(), 5, "{json}");
        assert_eq!(serde_json::from_str::<Metrics>(&json).unwrap(), metrics);
        let old = json.replace("null", "0.0");
        assert_eq!(serde_json::from_str::<Metrics>(&old).unwrap(), metrics, "{old}");
        // What was edited stays so, and nothing of it can break the reading.
        let edited = old.replacen("\"recall\":0.0", "\"recall\":0.7", 3);
        assert_ne!(serde_json::from_str::<Metrics>(&edited).unwrap(), metrics);
        for confusion in ["[]", "[[]]", "[[0,0,0,0]]", "[[18446744073709551615,18446744073709551615],[1]]"] {
            let start = old.find("\"confusion\":").unwrap();
            let other = format!("{}\"confusion\":{confusion}}}", &old[..start]);
            assert!(serde_json::from_str::<Metrics>(&other).is_ok(), "{other}");
        }
    }

    #[test]
    fn no_examples_are_no_nan() {
        let none = Metrics::new(&[], &[], 3, f64::NAN);
        assert_eq!((none.loss, none.accuracy, none.balanced_accuracy), (None, 0.0, 0.0));
        assert_eq!(none.per_class.len(), 3);
    }
}
