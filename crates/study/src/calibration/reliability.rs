//! The reliability diagram and the expected calibration error (Naeini and others, Obtaining well calibrated
//! probabilities using Bayesian binning, AAAI 2015), with bins of equally many answers (Nguyen and O'Connor, EMNLP
//! 2015).
//!
//! The error of few answers is larger than that of many: accuracy in a bin strays from confidence by chance, and every
//! straying counts. Draws of the bootstrap stray once more, so that all their quantiles may lie above the truth.
//! Mirrored at the error, as far below it as they are above, they allow for that, but are skewed the wrong way where a
//! network is seldom wrong. Simulated (500 to 10,000 answers, calibrated or not), the first cover the truth in 0 to 96
//! of a hundred cases, and the second in 48 to 96. So the interval spans both, and it begins at 0 where a calibrated
//! network would show as large an error by chance in one of twenty tries: that covers in 93 or more.

use serde::{Deserialize, Serialize};
use tenfold_nn::rng::{Rng, Stream};

use super::Stop;
use crate::comparison::Interval;
use crate::stats::student::normal_quantile;
use crate::stats::wilson::wilson;

/// Bins of the diagram, where there are as many answers that differ.
pub const BINS: usize = 15;

/// Draws of the bootstrap, and as many of what chance does.
pub(super) const DRAWS: usize = 2000;

/// Of the intervals.
const LEVEL: f64 = 0.95;

/// What a network said of an image.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Answer {
    /// The probability of the class that it predicted.
    pub confidence: f64,
    /// Whether that is the image's class.
    pub right: bool,
}

/// A point of the reliability diagram: answers of about the same confidence. As JSON it is `[answers, right, confidence]`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(from = "(u64, u64, f64)", into = "(u64, u64, f64)")]
pub struct Bin {
    /// How many answers these are.
    pub answers: u64,
    /// How many of them are right.
    pub right: u64,
    /// Their mean confidence.
    pub confidence: f64,
}

impl Bin {
    /// The share of answers that is right.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.answers.max(1) as f64
    }

    /// Wilson's interval of that share at 95 %, as if no two images belonged together.
    pub fn interval(&self) -> Interval {
        wilson(self.accuracy(), self.answers as f64, normal_quantile(LEVEL))
    }
}

impl From<(u64, u64, f64)> for Bin {
    fn from((answers, right, confidence): (u64, u64, f64)) -> Bin {
        // A file may hold anything.
        Bin { answers, right: right.min(answers), confidence }
    }
}

impl From<Bin> for (u64, u64, f64) {
    fn from(bin: Bin) -> (u64, u64, f64) {
        (bin.answers, bin.right, bin.confidence)
    }
}

/// How far confidence is from accuracy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calibration {
    /// The expected calibration error: the mean over answers of how far the mean confidence of their bin is from its
    /// accuracy.
    pub error: f64,
    /// Where the error of all images of this kind lies, at 95 %; none where there are fewer than two units. It begins at
    /// 0 where a calibrated network would show as large an error by chance.
    pub interval: Option<Interval>,
    /// The mean error of a calibrated network that says what this one says, by chance alone.
    pub by_chance: f64,
    /// At most [`BINS`], by confidence.
    pub bins: Vec<Bin>,
}

impl Calibration {
    /// Whether its error is no larger than what a calibrated network would show by chance in one of twenty tries.
    pub fn may_be_chance(&self) -> bool {
        self.interval.is_none_or(|interval| interval.low <= 0.0)
    }
}

/// How far `answers` are from meaning what they say. `units` has the number, from 0, of what each image belongs to (a
/// writer, a patient, or itself): the images of one unit are alike, and drawn together.
///
/// An answer is in bin `floor(15 r / N)`, where `r` of `N` answers are less confident: equal ones are always together,
/// so that nothing depends on the order of images.
///
/// `None` if there are no answers, or a confidence is not between 0 and 1.
///
/// # Panics
/// If there is not a unit for each answer, or a unit has a number that is not less than that of answers.
pub fn calibration(answers: &[Answer], units: &[u32]) -> Option<Calibration> {
    calibration_until(&|| false, answers, units, DRAWS)
}

/// [`calibration`] with draws as many as are wanted; `None`, too, once `stop` says so.
pub(super) fn calibration_until(stop: &Stop, answers: &[Answer], units: &[u32], draws: usize) -> Option<Calibration> {
    assert_eq!(answers.len(), units.len(), "a unit for each answer");
    assert!(units.iter().all(|&unit| (unit as usize) < units.len()), "units are numbered from 0");
    if answers.is_empty() || !answers.iter().all(|answer| (0.0..=1.0).contains(&answer.confidence)) {
        return None;
    }
    let mut sorted: Vec<(Answer, u32)> = answers.iter().copied().zip(units.iter().copied()).collect();
    sorted.sort_by(|(a, _), (b, _)| a.confidence.total_cmp(&b.confidence));
    let (answers, units): (Vec<Answer>, Vec<u32>) = sorted.into_iter().unzip();
    let whole = sums(answers.iter().map(|&answer| (answer, 1)), answers.len() as u64);
    let error = expected_error(&whole);

    let chance = sorted_draws(stop, draws, |draw| {
        let rng = Rng::new(1, Stream::Bootstrap, draw);
        let drawn = answers.iter().enumerate().map(|(n, answer)| {
            (Answer { right: f64::from(rng.uniform_at(n as u64)) < answer.confidence, ..*answer }, 1)
        });
        expected_error(&sums(drawn, answers.len() as u64))
    })?;
    let count = units.iter().max().map_or(0, |&last| last + 1);
    let interval = if count > 1 {
        let drawn = sorted_draws(stop, draws, |draw| {
            let rng = Rng::new(0, Stream::Bootstrap, draw);
            let mut times = vec![0; count as usize];
            (0..count.into()).for_each(|n| times[rng.below_at(n, count) as usize] += 1);
            let total = units.iter().map(|&unit| times[unit as usize]).sum();
            expected_error(&sums(
                answers.iter().zip(&units).map(|(&answer, &unit)| (answer, times[unit as usize])),
                total,
            ))
        })?;
        let [low, high] = [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0].map(|share| quantile(&drawn, share));
        let is_chance = error <= quantile(&chance, LEVEL);
        let lowest = if is_chance { 0.0 } else { low.min(2.0 * error - high).max(0.0) };
        Some(Interval { low: lowest, high: high.max(2.0 * error - low).min(1.0) })
    } else {
        None
    };
    let by_chance = chance.iter().sum::<f64>() / draws as f64;
    Some(Calibration { error, interval, by_chance, bins: whole.iter().map(Sums::bin).collect() })
}

/// What is summed over the answers of a bin.
#[derive(Clone, Copy, Default)]
struct Sums {
    answers: u64,
    confidence: f64,
    right: u64,
}

impl Sums {
    fn bin(&self) -> Bin {
        Bin { answers: self.answers, right: self.right, confidence: self.confidence / self.answers as f64 }
    }
}

/// The sums of each bin that has answers. `answers` are sorted by confidence, each with the number of times that it
/// counts, which add up to `total`.
fn sums(answers: impl Iterator<Item = (Answer, u64)>, total: u64) -> Vec<Sums> {
    let mut bins = [Sums::default(); BINS];
    let (mut before, mut bin, mut last) = (0, 0, f64::NEG_INFINITY);
    for (answer, times) in answers {
        if answer.confidence > last {
            bin = (BINS as u64 * before / total.max(1)).min(BINS as u64 - 1) as usize;
            last = answer.confidence;
        }
        let sums = &mut bins[bin];
        sums.answers += times;
        sums.confidence += answer.confidence * times as f64;
        sums.right += if answer.right { times } else { 0 };
        before += times;
    }
    bins.into_iter().filter(|sums| sums.answers > 0).collect()
}

/// The expected calibration error; 0 of nothing.
fn expected_error(bins: &[Sums]) -> f64 {
    let answers: u64 = bins.iter().map(|bin| bin.answers).sum();
    bins.iter().map(|bin| (bin.confidence - bin.right as f64).abs()).sum::<f64>() / answers.max(1) as f64
}

/// None once `stop` says so.
fn sorted_draws(stop: &Stop, draws: usize, figure: impl Fn(u64) -> f64) -> Option<Vec<f64>> {
    let mut all: Vec<f64> = (0..draws as u64).map(|draw| (!stop()).then(|| figure(draw))).collect::<Option<_>>()?;
    all.sort_by(f64::total_cmp);
    Some(all)
}

/// Between the two nearest of `sorted`, in proportion: numpy's default.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
