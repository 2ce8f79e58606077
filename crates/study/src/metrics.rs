//! What predictions are worth: confusion, precision, recall, F1, accuracy and balanced accuracy.
//!
//! Definitions are scikit-learn's, except that a quotient 0/0 is no number: of a class that no image belongs to,
//! nothing is known, and 0 would read as the worst there can be.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use tenfold_nn::data::MAX_CLASSES;

/// The most classes whose confusion is written as a matrix. That of 1,000 classes has a million counts, nearly all of them
/// 0: some 60 trainings would make a record that is too large to be read.
const MATRIX: usize = 100;

/// What a network reached on some examples. Quotients are 0 to 1.
///
/// In files, the confusion of more than 100 classes is `confusion_counts` instead: for each true class, what it was
/// predicted as and how often, `[predicted class, examples]`, without zeros.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(try_from = "Written")]
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
    confusion: Option<Vec<Vec<u64>>>,
    confusion_counts: Option<Vec<Vec<(usize, u64)>>>,
}

impl TryFrom<Written> for Metrics {
    type Error = String;

    fn try_from(written: Written) -> Result<Metrics, String> {
        let Written { loss, accuracy, balanced_accuracy, mut per_class, confusion, confusion_counts } = written;
        let confusion = match (confusion, confusion_counts) {
            (Some(confusion), _) => confusion,
            (None, Some(counts)) => matrix(&counts)?,
            (None, None) => return Err("missing field `confusion`".to_owned()),
        };
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
        Ok(Metrics { loss, accuracy, balanced_accuracy, per_class, confusion })
    }
}

/// The confusion matrix of these counts, as large as they have rows.
fn matrix(counts: &[Vec<(usize, u64)>]) -> Result<Vec<Vec<u64>>, String> {
    let classes = counts.len();
    if classes > MAX_CLASSES {
        return Err(format!("confusion_counts has {classes} rows, expected {MAX_CLASSES} at most"));
    }
    let mut confusion = vec![vec![0; classes]; classes];
    for (row, counts) in confusion.iter_mut().zip(counts) {
        for &(predicted, count) in counts {
            *row.get_mut(predicted)
                .ok_or_else(|| format!("confusion_counts has class {predicted}, expected one below {classes}"))? =
                count;
        }
    }
    Ok(confusion)
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Metrics { loss, accuracy, balanced_accuracy, per_class, confusion } = self;
        let mut fields = serializer.serialize_struct("Metrics", 5)?;
        fields.serialize_field("loss", loss)?;
        fields.serialize_field("accuracy", accuracy)?;
        fields.serialize_field("balanced_accuracy", balanced_accuracy)?;
        fields.serialize_field("per_class", per_class)?;
        if confusion.len() <= MATRIX {
            fields.serialize_field("confusion", confusion)?;
        } else {
            let counts = |row: &Vec<u64>| -> Vec<(usize, u64)> {
                row.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect()
            };
            fields.serialize_field("confusion_counts", &confusion.iter().map(counts).collect::<Vec<_>>())?;
        }
        fields.end()
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
    fn many_classes_are_written_as_the_counts_that_are_not_zero() {
        let of = |classes: u16| {
            let labels: Vec<u16> = (0..classes).flat_map(|class| [class; 3]).collect();
            let predictions: Vec<u16> = labels.iter().map(|class| class / 2).collect();
            Metrics::new(&labels, &predictions, usize::from(classes), 0.5)
        };
        let hundred = serde_json::to_value(of(100)).unwrap();
        assert_eq!(hundred["confusion"][7][3], 3);
        assert!(hundred.get("confusion_counts").is_none());
        let more = serde_json::to_value(of(101)).unwrap();
        assert!(more.get("confusion").is_none());
        assert_eq!(more["confusion_counts"][7], serde_json::json!([[3, 3]]));
        assert_eq!(serde_json::from_value::<Metrics>(more.clone()).unwrap(), of(101));
        // Records of earlier versions have the matrix.
        let mut old = more.clone();
        old.as_object_mut().unwrap().remove("confusion_counts");
        let missing = serde_json::from_value::<Metrics>(old.clone()).unwrap_err().to_string();
        assert!(missing.contains("missing field `confusion`"), "{missing}");
        old["confusion"] = serde_json::to_value(of(101).confusion).unwrap();
        assert_eq!(serde_json::from_value::<Metrics>(old).unwrap(), of(101));
        // What was edited.
        let mut edited = more;
        edited["confusion_counts"][7][0][0] = 101.into();
        let message = serde_json::from_value::<Metrics>(edited.clone()).unwrap_err().to_string();
        assert!(message.contains("has class 101, expected one below 101"), "{message}");
        edited["confusion_counts"] = serde_json::json!(vec![0; 1001].iter().map(|_| [(); 0]).collect::<Vec<_>>());
        assert!(serde_json::from_value::<Metrics>(edited).unwrap_err().to_string().contains("1001 rows"));
    }

    #[test]
    fn the_record_of_a_hundred_trainings_of_a_thousand_classes_is_small_enough_to_be_read() {
        // As a poor network does, each of 20,000 images as another class than its like, which is the longest.
        let (classes, per_class) = (1000_u16, 20_u16);
        let labels: Vec<u16> = (0..classes).flat_map(|class| vec![class; usize::from(per_class)]).collect();
        let predictions: Vec<u16> = (0..labels.len()).map(|n| (n * 769 % 1000) as u16).collect();
        let metrics = Metrics::new(&labels, &predictions, usize::from(classes), 6.9);
        let written = crate::json::pretty(&crate::testing::trial_record("any", 1, metrics.clone()));
        // Indented by ten more in a record than by itself, with as many rows of figures and of counts.
        let lines = written.lines().count();
        let most = crate::folder::MOST_BYTES as usize;
        assert!(100 * (written.len() + 10 * lines) < most, "{} bytes in {lines} lines", written.len());
        assert_eq!(serde_json::from_str::<crate::record::TrialRecord>(&written).unwrap().test, Some(metrics));
    }

    #[test]
    fn no_examples_are_no_nan() {
        let none = Metrics::new(&[], &[], 3, f64::NAN);
        assert_eq!((none.loss, none.accuracy, none.balanced_accuracy), (None, 0.0, 0.0));
        assert_eq!(none.per_class.len(), 3);
    }
}
