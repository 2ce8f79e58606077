use tenfold_nn::rng::{Rng, Stream};

use super::*;
use crate::calibration::calibration;

const CLASSES: usize = 3;

/// What a network said, with each image by itself.
struct Answered {
    probabilities: Vec<f32>,
    predictions: Vec<u16>,
    labels: Vec<u16>,
    units: Vec<u32>,
}

impl Answered {
    /// Of a network whose logits are `sureness` times what they should be.
    fn new(images: usize, seed: u64, sureness: f32) -> Answered {
        let (logits, dice) = (Rng::new(seed, Stream::Init, 0), Rng::new(seed, Stream::Dropout, 0));
        let softmax = |logits: &[f32]| -> Vec<f32> {
            let powers: Vec<f32> = logits.iter().map(|logit| logit.exp()).collect();
            powers.iter().map(|power| power / powers.iter().sum::<f32>()).collect()
        };
        let units = (0..images as u32).collect();
        let mut all = Answered { probabilities: Vec::new(), predictions: Vec::new(), labels: Vec::new(), units };
        for n in 0..images {
            let honest: Vec<f32> = (0..CLASSES).map(|c| 2.0 * logits.normal_at((n * CLASSES + c) as u64)).collect();
            let (truth, mut left) = (softmax(&honest), dice.uniform_at(n as u64));
            let label = (0..CLASSES - 1).find(|&class| {
                left -= truth[class];
                left < 0.0
            });
            let said = softmax(&honest.iter().map(|logit| sureness * logit).collect::<Vec<_>>());
            all.labels.push(label.unwrap_or(CLASSES - 1) as u16);
            all.predictions.push((0..CLASSES).max_by(|&a, &b| said[a].total_cmp(&said[b])).unwrap_or(0) as u16);
            all.probabilities.extend(said);
        }
        all
    }

    fn said(&self) -> Said<'_> {
        let Answered { probabilities, predictions, labels, units } = self;
        Said { probabilities, predictions, labels, units }
    }
}

fn record(valid: &Answered, test: &Answered) -> CalibrationRecord {
    let [one, two] = [1, 2].map(|threads| CalibrationRecord::of(valid.said(), test.said(), CLASSES, threads));
    assert_eq!(one, two, "the number of threads changes nothing");
    let asked = CalibrationRecord::of_while(valid.said(), test.said(), CLASSES, 2, &mut || Flow::Continue);
    assert_eq!(asked.as_ref(), Some(&one), "nor does being asked");
    one.expect("there are images")
}

#[test]
fn too_sure_a_network_is_found_out_and_its_temperature_mends_it() {
    let (valid, test) = (Answered::new(4000, 1, 3.0), Answered::new(4000, 2, 3.0));
    let found = record(&valid, &test);
    // Of 4,000 answers; the deviation of such a temperature is about 0.06.
    assert!((found.temperature.unwrap() - 3.0).abs() < 0.25, "{:?}", found.temperature);
    let (plain, calibrated) = (&found.plain, found.calibrated.as_ref().unwrap());
    assert!(!plain.test.calibration.may_be_chance() && plain.test.calibration.error > 0.1, "{:?}", plain.test);
    assert!(calibrated.test.calibration.may_be_chance(), "{:?}", calibrated.test);
    assert!(calibrated.test.loss.unwrap() < plain.test.loss.unwrap());
    assert_eq!((plain.thresholds[0].wrong, plain.thresholds[0].answered), (calibrated.thresholds[0].wrong, 4000));
    assert!(found.check().is_ok());
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<CalibrationRecord>(&json).unwrap(), found);
    assert!(json.contains("\"bins\":[[") && json.contains("\"thresholds\":[[0.0,4000,"), "{json}");
}

#[test]
fn test_images_have_no_part_in_temperature_and_thresholds() {
    let valid = Answered::new(300, 1, 2.0);
    let (one, other) = (record(&valid, &Answered::new(300, 2, 2.0)), record(&valid, &Answered::new(200, 3, 0.5)));
    assert_eq!(one.temperature, other.temperature);
    assert_eq!((&one.plain.valid, &one.plain.thresholds), (&other.plain.valid, &other.plain.thresholds));
    assert_ne!(one.plain.test, other.plain.test);
}

#[test]
fn where_all_are_right_there_is_no_temperature_and_no_image_is_left_out() {
    let mut valid = Answered::new(50, 1, 1.0);
    valid.labels = valid.predictions.clone();
    let found = record(&valid, &Answered::new(50, 2, 1.0));
    assert_eq!((found.temperature, found.calibrated.as_ref()), (None, None));
    let abstain = found.plain.abstain(0.0).unwrap();
    assert_eq!((abstain.threshold, abstain.answered, abstain.wrong), (0.0, 50, 0));
}

#[test]
fn the_threshold_is_the_lowest_of_all_that_keep_to_the_share() {
    // Steps of a sixteenth, so that many are of one confidence.
    for seed in 0..200_u64 {
        let rng = Rng::new(seed, Stream::Init, 0);
        let answer = |n: u64| {
            let confidence = (16.0 * f64::from(rng.uniform_at(2 * n))).round() / 16.0;
            Answer { confidence, right: f64::from(rng.uniform_at(2 * n + 1)) < confidence }
        };
        let answers: Vec<Answer> = (0..40).map(answer).collect();
        let of_valid =
            Reliability { loss: None, calibration: calibration(&answers[..1], &[0]).expect("there is an answer") };
        let measured = Measured { valid: of_valid.clone(), test: of_valid, thresholds: thresholds(&answers) };
        for at_most in [0.0, 0.05, 0.1, 0.2, 0.5] {
            let kept = |least: f64| answers.iter().filter(move |answer| answer.confidence >= least);
            let wrong = |least: f64| kept(least).filter(|answer| !answer.right).count() as f64;
            let good = |least: &f64| kept(*least).count() > 0 && wrong(*least) <= at_most * kept(*least).count() as f64;
            let lowest = (0..=16).map(|n| f64::from(n) / 16.0).find(good);
            match (measured.abstain(at_most), lowest) {
                (Ok(found), Some(lowest)) => {
                    // What no answer lies between is the same threshold.
                    assert_eq!(
                        found.answered,
                        kept(lowest).count() as u64,
                        "seed {seed}, {at_most}: {found:?} {lowest}"
                    );
                    assert_eq!(found.wrong as f64, wrong(found.threshold));
                    assert_eq!((found.images, found.answered), (40, kept(found.threshold).count() as u64));
                }
                (Err(least), None) => assert!(least.error() > at_most),
                (found, lowest) => panic!("seed {seed}, {at_most}: {found:?}, expected {lowest:?}"),
            }
        }
    }
}

#[test]
fn of_many_thresholds_some_are_kept_with_the_first_and_the_last() {
    let answer = |n: u32| Answer { confidence: f64::from(n) / 2000.0, right: n.is_multiple_of(2) };
    let answers: Vec<Answer> = (0..2000).map(answer).collect();
    let found = thresholds(&answers);
    assert_eq!(found.len(), THRESHOLDS + 1);
    assert_eq!((found[0].threshold, found[0].answered, found[0].wrong), (0.0, 2000, 1000));
    // The surest answer is wrong, so one wrong answer is left with the last threshold.
    let last = found[THRESHOLDS];
    assert_eq!((last.threshold, last.answered, last.wrong), (1998.0 / 2000.0, 2, 1));
    assert!(found.windows(2).all(|two| two[0].threshold < two[1].threshold));
}
