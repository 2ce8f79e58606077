//! How long a study will take: a short look at each recipe before the first epoch.

use tenfold_nn::Isa;
use tenfold_nn::bench::{Effort, measure};
use tenfold_nn::data::{Dataset, Splits};
use tenfold_nn::model::Architecture;
use tenfold_report::format::listed;
use tenfold_study::Recipe;

/// The longest that the steps of a look take, in seconds, and the most of them.
const SECONDS: f64 = 0.3;
const STEPS: usize = 100;

/// Images that evaluation is timed on.
const IMAGES: usize = 512;

/// The seed of the looks, which no trial has.
const SEED: u64 = 0;

/// The least relative uncertainty: a third of a second cannot tell how fast the machine will be in an hour.
const LEAST_SPREAD: f64 = 0.05;

/// How fast a recipe is trained.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Pace {
    /// Seconds of an epoch, evaluation included.
    pub(crate) epoch_s: f64,
    /// Seconds of what follows the last epoch.
    end_s: f64,
    /// How uncertain these are, as a part of them.
    spread: f64,
}

/// The few validation images that [`pace`] evaluates.
pub(crate) fn few(valid: &Dataset) -> Dataset {
    let images: Vec<u32> = (0..valid.len().min(IMAGES) as u32).collect();
    valid.select(&images)
}

/// Trains a network that is then forgotten; `None` if that diverges or `stop` says so.
pub(crate) fn pace(
    recipe: &Recipe,
    architecture: &Architecture,
    splits: &Splits,
    few: &Dataset,
    threads: usize,
    stop: &dyn Fn() -> bool,
) -> Option<Pace> {
    let effort = Effort { isa: Isa::detect(), seconds: SECONDS, steps: STEPS, blocks: false, stop };
    let speed = measure(architecture, &recipe.config(SEED), &splits.train, few, threads, &effort)?;
    let evaluation_s = |images: usize| images as f64 / speed.evaluation_images_per_s;
    let steps = splits.train.len() as f64 / recipe.settings.batch_size as f64;
    Some(Pace {
        epoch_s: steps * speed.step_s + evaluation_s(splits.valid.len()),
        end_s: evaluation_s(splits.valid.len() + splits.test.len()),
        spread: ((speed.step_high_s - speed.step_low_s) / (2.0 * speed.step_s)).max(LEAST_SPREAD),
    })
}

/// How many epochs a training of a recipe takes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Epochs {
    /// Always so many.
    Exactly(usize),
    /// It may end before its last; earlier trainings took so many.
    Like(Vec<usize>),
    /// It may end after any of so many.
    UpTo(usize),
}

/// The trainings to come of one recipe.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Work {
    pub(crate) recipe: String,
    pub(crate) trainings: usize,
    pub(crate) epochs: Epochs,
    /// Epochs of them that were done before, and parts of such.
    pub(crate) done: f64,
    /// `None` where the look diverged.
    pub(crate) pace: Option<Pace>,
}

/// "52 min +- 9 here", or from when to when, with what is not known.
pub(crate) fn words(works: &[Work]) -> String {
    let named = |which: &dyn Fn(&&Work) -> bool| -> Vec<&str> {
        works.iter().filter(which).map(|work| work.recipe.as_str()).collect()
    };
    let diverged = named(&|work| work.pace.is_none());
    let open = named(&|work| work.pace.is_some() && matches!(work.epochs, Epochs::UpTo(_)));
    let Some(range) = range(works) else {
        return format!("no telling how long, as {} diverged in the probe", listed(&diverged));
    };
    let mut text = format!("{range} here");
    if !open.is_empty() {
        let need = if open.len() == 1 { "needs" } else { "need" };
        text.push_str(&format!("; how many epochs {} {need} is not known yet", listed(&open)));
    }
    if !diverged.is_empty() {
        text.push_str(&format!("; without {}, which diverged in the probe", listed(&diverged)));
    }
    text
}

/// "52 min +- 9", or "12 to 52 min"; none where all looks diverged.
pub(crate) fn range(works: &[Work]) -> Option<String> {
    // The machine is slower or faster for all recipes together; their numbers of epochs vary by themselves.
    let (mut low_s, mut high_s, mut pace_s, mut epochs_s2) = (0.0, 0.0, 0.0, 0.0);
    let (mut open, mut any) = (false, false);
    for work in works {
        let Some(pace) = work.pace else { continue };
        any = true;
        let trainings = work.trainings as f64;
        let takes = |epochs: f64| (trainings * epochs - work.done).max(0.0) * pace.epoch_s + trainings * pace.end_s;
        let (low, high) = match &work.epochs {
            Epochs::Exactly(epochs) => (*epochs as f64, *epochs as f64),
            Epochs::Like(earlier) => {
                let (mean, sd, n) = (mean(earlier), spread(earlier), earlier.len() as f64);
                // Of the sum of all to come, whose mean is itself known from n alone.
                epochs_s2 += (pace.epoch_s * sd).powi(2) * (trainings + trainings * trainings / n);
                (mean, mean)
            }
            Epochs::UpTo(most) => {
                open = true;
                (1.0, *most as f64)
            }
        };
        low_s += takes(low);
        high_s += takes(high);
        pace_s += pace.spread * (takes(low) + takes(high)) / 2.0;
    }
    let uncertain_s = f64::hypot(pace_s, f64::sqrt(epochs_s2));
    any.then(|| {
        if open {
            let (low_s, high_s) = ((low_s - uncertain_s).max(0.0), high_s + uncertain_s);
            let unit = TimeUnit::of(high_s);
            return format!("{} to {} {}", unit.number(low_s), unit.number(high_s), unit.name);
        }
        let unit = TimeUnit::of(low_s);
        format!("{} {} +- {}", unit.number(low_s), unit.name, unit.number(uncertain_s.max(unit.least_s())))
    })
}

/// What was estimated, held against what happened. `halfway` is what was expected of the whole when half of the epochs
/// were done.
pub(crate) fn outcome(range: &str, halfway: Option<&str>, took: &str) -> String {
    let halfway = halfway.map_or(String::new(), |halfway| format!("; halfway through, {halfway}"));
    format!("the trainings took {took}; the estimate was {range}{halfway}")
}

fn mean(numbers: &[usize]) -> f64 {
    numbers.iter().sum::<usize>() as f64 / numbers.len() as f64
}

/// The standard deviation; of a single number, a third of it: nobody knows better.
fn spread(numbers: &[usize]) -> f64 {
    let mean = mean(numbers);
    if numbers.len() < 2 {
        return mean / 3.0;
    }
    let squares: f64 = numbers.iter().map(|&number| (number as f64 - mean).powi(2)).sum();
    (squares / (numbers.len() - 1) as f64).sqrt()
}

/// What a duration is told in.
struct TimeUnit {
    name: &'static str,
    seconds: f64,
    decimals: usize,
}

impl TimeUnit {
    /// With two or three digits for this duration.
    fn of(duration_s: f64) -> TimeUnit {
        let (name, seconds) = match duration_s {
            s if s < 100.0 => ("s", 1.0),
            s if s < 100.0 * 60.0 => ("min", 60.0),
            _ => ("h", 3600.0),
        };
        TimeUnit { name, seconds, decimals: usize::from(duration_s < 9.95 * seconds) }
    }

    fn number(&self, duration_s: f64) -> String {
        format!("{:.*}", self.decimals, duration_s / self.seconds)
    }

    /// One of the last digit.
    fn least_s(&self) -> f64 {
        self.seconds / if self.decimals == 0 { 1.0 } else { 10.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(recipe: &str, trainings: usize, epochs: Epochs) -> Work {
        let pace = Some(Pace { epoch_s: 10.0, end_s: 2.0, spread: 0.1 });
        Work { recipe: recipe.to_owned(), trainings, epochs, done: 0.0, pace }
    }

    #[test]
    fn what_is_known_is_told_with_its_uncertainty() {
        // 10 x (11 x 10 s + 2 s), a tenth of it uncertain.
        assert_eq!(words(&[work("a", 10, Epochs::Exactly(11))]), "19 min +- 2 here");
        let two = [work("a", 10, Epochs::Exactly(11)), work("b", 10, Epochs::Exactly(11))];
        assert_eq!(words(&two), "37 min +- 4 here");
        // A training that goes on after five and a half of its epochs.
        assert_eq!(words(&[Work { done: 5.5, ..work("a", 1, Epochs::Exactly(11)) }]), "57 s +- 6 here");
        // 20 epochs on average with a deviation of 10: sqrt(4 + 4 * 4 / 3) x 10 x 10 s beside 81 s.
        assert_eq!(words(&[work("a", 4, Epochs::Like(vec![10, 20, 30]))]), "13 min +- 5 here");
        assert_eq!(words(&[work("a", 1, Epochs::Like(vec![30]))]), "5.0 min +- 2.4 here");
        // Never without any uncertainty.
        let sure = Some(Pace { epoch_s: 1.0, end_s: 0.0, spread: 0.001 });
        assert_eq!(words(&[Work { pace: sure, ..work("a", 1, Epochs::Exactly(50)) }]), "50 s +- 1 here");
        assert_eq!(words(&[Work { pace: sure, ..work("a", 1, Epochs::Exactly(9)) }]), "9.0 s +- 0.1 here");
        assert_eq!(words(&[Work { pace: sure, ..work("a", 10_000, Epochs::Exactly(10_000)) }]), "27778 h +- 28 here");
    }

    #[test]
    fn the_estimate_is_held_against_what_happened() {
        let open = [work("a", 1, Epochs::Exactly(10)), work("b", 1, Epochs::UpTo(40))];
        let range = range(&open).expect("nothing diverged");
        assert_eq!(
            outcome(&range, Some("at most 25 min 10 s"), "27 min 03 s"),
            "the trainings took 27 min 03 s; the estimate was 1.4 to 8.9 min; halfway through, at most 25 min 10 s"
        );
        assert_eq!(outcome("9.0 s +- 0.1", None, "9.20 s"), "the trainings took 9.20 s; the estimate was 9.0 s +- 0.1");
    }

    #[test]
    fn what_is_not_known_is_said() {
        let open = [work("a", 1, Epochs::Exactly(10)), work("b", 1, Epochs::UpTo(40)), work("c", 1, Epochs::UpTo(40))];
        assert_eq!(words(&open[..2]), "1.4 to 8.9 min here; how many epochs b needs is not known yet");
        assert_eq!(words(&open), "1 to 16 min here; how many epochs b and c need is not known yet");
        let wild = Work { pace: None, ..work("wild", 3, Epochs::Exactly(11)) };
        assert_eq!(
            words(&[open[0].clone(), wild.clone()]),
            "1.7 min +- 0.2 here; without wild, which diverged in the probe"
        );
        assert_eq!(words(&[wild]), "no telling how long, as wild diverged in the probe");
    }
}
