//! What a network's probabilities are worth, as a record keeps it: calibration with and without a temperature, and what
//! abstaining would do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenfold_nn::evaluate::divide_logits;
use tenfold_nn::interop::model_file::Abstain;
use tenfold_nn::train::Flow;

use super::reliability::{DRAWS, calibration_until};
use super::temperature::temperature_until;
use super::{Answer, Calibration, Stop, cross_entropy};

/// How often is asked whether to go on.
const ASK: Duration = Duration::from_millis(20);

/// The most thresholds that are kept.
const THRESHOLDS: usize = 100;

/// What a network said of images whose classes are known.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// `[N, classes]`, each row summing to one.
    pub probabilities: &'a [f32],
    /// The class that each row is taken for, `[N]`.
    pub predictions: &'a [u16],
    /// The class of each image, `[N]`.
    pub labels: &'a [u16],
    /// What each image belongs to, `[N]`, numbered from 0: see [`calibration`](super::calibration()).
    pub units: &'a [u32],
}

/// What a network's probabilities are worth. The temperature and the thresholds are found on validation images alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CalibrationRecord {
    /// What logits are to be divided by so that the loss on the validation images is the smallest; null if there is no
    /// such number between 0.01 and 100, as where every validation image was right.
    pub temperature: Option<f64>,
    /// As the network says it.
    pub plain: Measured,
    /// With logits divided by the temperature; null without one.
    pub calibrated: Option<Measured>,
}

/// What probabilities are worth on validation and on test images.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// On the validation images, each taken by itself. With the temperature that was found on them, this flatters.
    pub valid: Reliability,
    /// On the test images; those that belong together are drawn together.
    pub test: Reliability,
    /// By threshold, from 0 up.
    pub thresholds: Vec<Threshold>,
}

/// How far probabilities mean what they say.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reliability {
    /// Mean cross-entropy per image, in nats; null if it is not finite.
    pub loss: Option<f64>,
    /// Of the most probable classes.
    #[serde(flatten)]
    pub calibration: Calibration,
}

/// What naming a class only from a probability on does on the validation images. As JSON it is
/// `[threshold, answered, wrong]`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(from = "(f64, u64, u64)", into = "(f64, u64, u64)")]
pub struct Threshold {
    /// The smallest probability of a class that is named.
    pub threshold: f64,
    /// Images for which a class is named.
    pub answered: u64,
    /// Those of them for which it is the wrong one.
    pub wrong: u64,
}

impl From<(f64, u64, u64)> for Threshold {
    fn from((threshold, answered, wrong): (f64, u64, u64)) -> Threshold {
        Threshold { threshold, answered, wrong }
    }
}

impl From<Threshold> for (f64, u64, u64) {
    fn from(of: Threshold) -> (f64, u64, u64) {
        (of.threshold, of.answered, of.wrong)
    }
}

impl Threshold {
    /// The share of wrong answers among those that are given; 0 of none.
    pub fn error(&self) -> f64 {
        self.wrong as f64 / self.answered.max(1) as f64
    }
}

impl CalibrationRecord {
    /// What the probabilities of a network of so many classes are worth, computed on two threads if there are as many;
    /// `None` if there are no images of either kind, or a probability is no number.
    ///
    /// # Panics
    /// If there are not as many of each kind, or a label or prediction is no class.
    pub fn of(valid: Said, test: Said, classes: usize, threads: usize) -> Option<CalibrationRecord> {
        CalibrationRecord::until(&|| false, valid, test, classes, threads)
    }

    /// [`CalibrationRecord::of`], asking now and then whether to go on; `None` if the answer was [`Flow::Stop`].
    ///
    /// # Panics
    /// As [`CalibrationRecord::of`].
    pub fn of_while(
        valid: Said,
        test: Said,
        classes: usize,
        threads: usize,
        go_on: &mut dyn FnMut() -> Flow,
    ) -> Option<Option<CalibrationRecord>> {
        let (stop, done, asking) = (AtomicBool::new(false), AtomicBool::new(false), thread::current());
        let found = thread::scope(|scope| {
            let computing = scope.spawn(|| {
                let found = CalibrationRecord::until(&|| stop.load(Ordering::Relaxed), valid, test, classes, threads);
                done.store(true, Ordering::Relaxed);
                asking.unpark();
                found
            });
            while go_on() == Flow::Continue {
                thread::park_timeout(ASK);
                if done.load(Ordering::Relaxed) || computing.is_finished() {
                    return Some(computing.join());
                }
            }
            stop.store(true, Ordering::Relaxed);
            None
        });
        found.map(|found| found.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    fn until(stop: &Stop, valid: Said, test: Said, classes: usize, threads: usize) -> Option<CalibrationRecord> {
        let plain = Measured::until(stop, valid, test, classes, threads)?;
        let temperature = temperature_until(stop, &logarithms(valid.probabilities), valid.labels, classes);
        let calibrated = temperature.and_then(|temperature| {
            let [of_valid, of_test] = [valid, test].map(|said| {
                let mut probabilities = said.probabilities.to_vec();
                divide_logits(&mut probabilities, classes, temperature);
                probabilities
            });
            let valid = Said { probabilities: &of_valid, ..valid };
            Measured::until(stop, valid, Said { probabilities: &of_test, ..test }, classes, threads)
        });
        Some(CalibrationRecord { temperature, plain, calibrated })
    }

    /// That its numbers are such as can be: a file may hold anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(temperature) = self.temperature.filter(|t| !(0.01..=100.0).contains(t)) {
            return Err(format!("the temperature is {temperature}, expected 0.01 to 100"));
        }
        let both = || [Some(&self.plain), self.calibrated.as_ref()].into_iter().flatten();
        let shares = both().flat_map(|measured| [&measured.valid, &measured.test]).flat_map(|of| {
            let of = &of.calibration;
            let ends = of.interval.map(|interval| [interval.low, interval.high]);
            [of.error, of.by_chance]
                .into_iter()
                .chain(ends.into_iter().flatten())
                .chain(of.bins.iter().map(|bin| bin.confidence))
        });
        let thresholds = both().flat_map(|measured| &measured.thresholds).map(|of| of.threshold);
        match shares.chain(thresholds).find(|share| !(0.0..=1.0).contains(share)) {
            Some(share) => Err(format!("the calibration has a share of {share}, expected 0 to 1")),
            None => Ok(()),
        }
    }

    /// What it is with its temperature, or without.
    pub fn measured(&self, calibrated: bool) -> Option<&Measured> {
        if calibrated { self.calibrated.as_ref() } else { Some(&self.plain) }
    }
}

impl Measured {
    fn until(stop: &Stop, valid: Said, test: Said, classes: usize, threads: usize) -> Option<Measured> {
        let (of_valid, of_test) = if threads > 1 {
            std::thread::scope(|scope| {
                let beside = scope.spawn(|| Reliability::until(stop, valid, classes));
                let of_test = Reliability::until(stop, test, classes);
                (beside.join().expect("it does not panic"), of_test)
            })
        } else {
            (Reliability::until(stop, valid, classes), Reliability::until(stop, test, classes))
        };
        Some(Measured { valid: of_valid?, test: of_test?, thresholds: thresholds(&answers(valid, classes)) })
    }

    /// The lowest threshold at which the share of wrong answers on the validation images is at most so much; the error
    /// is the one with the smallest share.
    ///
    /// # Errors
    /// If there is none.
    pub fn abstain(&self, at_most: f64) -> Result<Abstain, Threshold> {
        let images = self.thresholds.first().map_or(0, |all| all.answered);
        let found = self.thresholds.iter().find(|threshold| threshold.error() <= at_most);
        let Some(&Threshold { threshold, answered, wrong }) = found else {
            let least = self.thresholds.iter().min_by(|a, b| a.error().total_cmp(&b.error()));
            return Err(least.copied().unwrap_or(Threshold { threshold: 0.0, answered: 0, wrong: 0 }));
        };
        Ok(Abstain { threshold, images, answered, wrong })
    }
}

impl Reliability {
    fn until(stop: &Stop, said: Said, classes: usize) -> Option<Reliability> {
        let calibration = calibration_until(stop, &answers(said, classes), said.units, DRAWS)?;
        let loss = cross_entropy(&logarithms(said.probabilities), said.labels, classes, 1.0);
        Some(Reliability { loss: loss.is_finite().then_some(loss), calibration })
    }
}

/// What stands for logits: it is short of them by the same for all classes of an image. What single precision has no
/// number for counts as its smallest.
fn logarithms(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.max(f32::MIN_POSITIVE).ln()).collect()
}

fn answers(said: Said, classes: usize) -> Vec<Answer> {
    assert_eq!(said.predictions.len(), said.labels.len(), "a prediction for each label");
    assert_eq!(said.probabilities.len(), said.labels.len() * classes, "probabilities for each label");
    let rows = said.probabilities.chunks_exact(classes).zip(said.predictions.iter().zip(said.labels));
    let answer = |(row, (&prediction, label)): (&[f32], (&u16, &u16))| Answer {
        confidence: row[usize::from(prediction)].into(),
        right: prediction == *label,
    };
    rows.map(answer).collect()
}

/// Thresholds at which a wrong answer less is given than at the one before; of many, some at equal distances, with the
/// first and the last. Between two of them the share of wrong answers only grows, so no other is ever the lowest for an
/// aim, except where some were passed over.
fn thresholds(answers: &[Answer]) -> Vec<Threshold> {
    let mut sorted = answers.to_vec();
    sorted.sort_by(|a, b| a.confidence.total_cmp(&b.confidence));
    let mut left = Threshold { threshold: 0.0, answered: sorted.len() as u64, wrong: 0 };
    left.wrong = sorted.iter().filter(|answer| !answer.right).count() as u64;
    let mut all = vec![left];
    for same in sorted.chunk_by(|a, b| a.confidence == b.confidence) {
        // What the group before had is no longer answered from here on.
        if all.last().is_some_and(|last| last.wrong > left.wrong) && left.answered > 0 {
            all.push(Threshold { threshold: same[0].confidence, ..left });
        }
        left.answered -= same.len() as u64;
        left.wrong -= same.iter().filter(|answer| !answer.right).count() as u64;
    }
    let last = all.len() - 1;
    let most = last.min(THRESHOLDS);
    (0..=most).map(|n| all[n * last / most.max(1)]).collect()
}

#[cfg(test)]
mod tests;
