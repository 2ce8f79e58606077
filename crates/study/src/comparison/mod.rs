//! What the trials of a study say together: the `comparison` of `results.json`.
//!
//! Shares run from 0 to 1, also where people speak of points: a difference of 0.1 points is 0.001. Differences are
//! first minus second. Intervals are at [`Comparison::level`] unless said otherwise.

use serde::{Deserialize, Deserializer, Serialize};

#[cfg(test)]
mod agreement;
mod choice;
mod compare;
mod estimates;
mod mistakes;
mod network;
mod pairs;
mod resample;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod time;

pub use compare::{Groups, RecipeTrials, TestImages, compare};
pub use network::of_network;
pub(crate) use resample::units;

/// The share of intervals that are to contain what they are about.
pub const LEVEL: f64 = 0.95;

/// The difference in accuracy that is called none, unless another is asked for: 0.1 points.
pub const MARGIN: f64 = 0.001;

/// What follows from the trials together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// What [`Comparison::picked`] was chosen by.
    pub chosen_by: ChosenBy,
    /// The recipe with the best mean balanced accuracy on validation, or where it was asked for, on test: our pick. Of
    /// equals, the first.
    pub picked: Option<Pick>,
    /// The recipe with the best mean balanced accuracy on test, as the published study chose. Of equals, the first.
    pub best_on_test: Option<Pick>,
    /// [`LEVEL`].
    pub level: f64,
    /// The difference in test accuracy that is called none.
    pub margin: f64,
    /// Resamples of each bootstrap; 0 where none was made.
    pub resamples: usize,
    /// Test images.
    pub images: usize,
    /// Writers of the test images, where they are known: the images of one are resampled together.
    pub writers: Option<usize>,
    /// Other groups of test images, where they are known: the images of one are resampled together.
    pub image_groups: Option<usize>,
    /// One per recipe with a finished trial, in the order of the study.
    pub recipes: Vec<RecipeStatistics>,
    /// Every pair of those recipes: first with second, first with third, and so on.
    pub pairs: Vec<PairStatistics>,
    /// The recipes by mean test accuracy, the best first, in groups. Each recipe of a group is at most as good as the
    /// group's first, and the two are not resolved or equivalent.
    pub groups: Vec<Vec<String>>,
    /// The choice by validation accuracy, as words want it.
    pub choice: Option<Choice>,
    /// Which recipes get the same test images wrong.
    pub shared_mistakes: Vec<SharedMistakes>,
}

impl Default for Comparison {
    fn default() -> Comparison {
        Comparison {
            chosen_by: ChosenBy::Validation,
            picked: None,
            best_on_test: None,
            level: LEVEL,
            margin: MARGIN,
            resamples: 0,
            images: 0,
            writers: None,
            image_groups: None,
            recipes: Vec::new(),
            pairs: Vec::new(),
            groups: Vec::new(),
            choice: None,
            shared_mistakes: Vec::new(),
        }
    }
}

/// The images that a choice was made by.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenBy {
    /// Validation images, as it should be.
    #[default]
    Validation,
    /// Test images, so that what is said of the choice on these images flatters it.
    Test,
}

/// A recipe that was chosen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pick {
    /// Its name.
    pub recipe: String,
    /// The seed whose network did best by the figure that the choice was made with. Of equals, the smallest.
    pub seed: u64,
    /// The mean over its finished trials.
    pub valid_balanced_accuracy: f64,
    /// The mean over its finished trials.
    pub test_balanced_accuracy: f64,
}

/// From one number to another, both included.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// What of it lies between 0 and 1, as a share does.
    pub(crate) fn of_share(self) -> Interval {
        Interval { low: self.low.max(0.0), high: self.high.min(1.0) }
    }
}

/// Where a share lies: records of before intervals ended at 0 and 1 may have longer ones.
fn of_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    Ok(Option::<Interval>::deserialize(deserializer)?.map(Interval::of_share))
}

/// A share, such as accuracy or recall, over the finished seeds of a recipe.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The standard deviation over seeds, with n - 1; null with one seed.
    pub sd: Option<f64>,
    /// Where the mean of many seeds lies, on the same images: Student's t, between 0 and 1; null with one seed.
    #[serde(deserialize_with = "of_share")]
    pub seeds: Option<Interval>,
    /// Where it lies for new seeds and new images: the spread over seeds together with a bootstrap over images (or
    /// writers); with one seed, for that network and new images. Without predictions to resample, Wilson's interval of
    /// one seed's share; otherwise null.
    pub new: Option<Interval>,
}

/// What the finished trials of one recipe say.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecipeStatistics {
    /// Its name.
    pub recipe: String,
    /// The seeds of its finished trials, in the order of all lists by seed.
    pub seeds: Vec<u64>,
    /// The seeds that diverged: results too, though no mean includes them.
    pub diverged: Vec<u64>,
    /// Test accuracy.
    pub accuracy: Estimate,
    /// Test accuracy of each seed.
    pub accuracy_by_seed: Vec<f64>,
    /// Balanced test accuracy.
    pub balanced_accuracy: Estimate,
    /// Validation accuracy, which choices are made with.
    pub valid_accuracy: Estimate,
    /// One per class.
    pub per_class: Vec<ClassStatistics>,
    /// Time of training.
    pub time: Option<TimeStatistics>,
    /// The way to the target, for recipes that have one.
    pub target: Option<TargetStatistics>,
}

/// What the finished trials of one recipe say of one class of test images.
///
/// A figure that would be 0/0 is null. Where only some seeds have it, as precision where the others never predict the
/// class, it is over these.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassStatistics {
    /// Of the images predicted as this class, the share that is of it.
    pub precision: Option<Estimate>,
    /// Of the images of this class, the share that was predicted so.
    pub recall: Option<Estimate>,
    /// Their harmonic mean, which is 0 if one of them is; null where the class neither occurs nor is predicted.
    pub f1: Option<Estimate>,
}

/// How long trainings took, in seconds. Only over trials whose time can be trusted, and on one kind of machine: that
/// from which the most recipes have times or, if the recipe has none from there, its own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TimeStatistics {
    /// The seeds whose time counts.
    pub seeds: Vec<u64>,
    /// The seeds whose time does not: other work ran beside them, or they ran in parts, or on another processor, number
    /// of threads or version of the program than those whose time counts.
    pub left_out: Vec<u64>,
    /// The median of a training's time in training steps.
    pub median_s: f64,
    /// The shortest and the longest.
    pub range_s: Interval,
    /// The median of the time of one epoch after the first of a training.
    pub epoch_s: Option<f64>,
}

/// When trainings reached their target. One that ended without is known to need longer: it is censored, not dropped.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TargetStatistics {
    /// The target: validation accuracy.
    pub target: f64,
    /// Trainings that reached it.
    pub reached: usize,
    /// Trainings that ended without, diverged ones included.
    pub censored: usize,
    /// The median of the epochs needed, by Kaplan and Meier; null if fewer than half reached the target.
    pub median_epochs: Option<f64>,
    /// The median of the seconds of training needed, likewise.
    pub median_s: Option<f64>,
    /// The share of trainings that have reached it, after each epoch at which one did.
    pub reached_by: Vec<ReachedBy>,
}

/// A step of the distribution of epochs to the target.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReachedBy {
    /// After this many epochs.
    pub epoch: usize,
    /// This share of trainings has reached the target.
    pub share: f64,
}

/// What the trials say about the difference in test accuracy of two recipes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PairStatistics {
    /// The first recipe.
    pub first: String,
    /// The second.
    pub second: String,
    /// Mean accuracy of the first minus that of the second.
    pub difference: f64,
    /// On these test images, for many seeds: Welch's t-test. Null with fewer than 5 seeds of either: a p-value would be
    /// show.
    pub these_images: Option<Test>,
    /// For new images and many seeds: the spread over seeds together with a bootstrap over images (or writers). Null
    /// without predictions of both, or with one seed of either.
    pub new_images: Option<Test>,
    /// For one seed each: whether the two networks, not their recipes, differ.
    pub one_seed: Option<McNemar>,
    /// How probable it is that a training of the first beats one of the second, a tie counting half, by pairs of seeds.
    pub first_beats_second: f64,
    /// The interval of the difference at 1 - 2 (1 - level), for new images: within the margin on both sides, the two
    /// are equivalent. With one seed each, that of the two networks.
    pub equivalence: Option<Interval>,
    /// In words.
    pub verdict: Verdict,
    /// Which of the two the verdict favours; null where it favours none.
    pub better: Option<String>,
    /// About how many more seeds of each would resolve a difference as large as this one or the margin, whichever is
    /// larger, on these images; null where more seeds would not help or the spread is not known.
    pub more_seeds: Option<u64>,
    /// About how many more test images would, for new images and the seeds there are; null where it is not known, or
    /// where these seeds differ too much for any number of images.
    pub more_images: Option<u64>,
}

/// An interval of a difference with the p-value of "there is none".
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Test {
    /// Where the difference lies.
    pub interval: Interval,
    /// The p-value, two-sided, by itself.
    pub p: f64,
    /// The same, adjusted for all pairs after Holm: the one to go by.
    pub p_holm: f64,
}

/// Two networks on the same images: McNemar's exact test, which takes each image by itself, and the difference for new
/// images. Neither says anything about retraining.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct McNemar {
    /// Images that only the first gets right.
    pub only_first: u64,
    /// Images that only the second gets right.
    pub only_second: u64,
    /// McNemar's p-value, two-sided and exact.
    pub p: f64,
    /// The same, adjusted for all pairs after Holm.
    pub p_holm: f64,
    /// The p-value of "no difference for new images (or writers)", two-sided; null in records of versions that did not
    /// keep it.
    #[serde(default)]
    pub new_images_p: Option<f64>,
    /// The same, adjusted for all pairs after Holm.
    #[serde(default)]
    pub new_images_p_holm: Option<f64>,
    /// Where the difference of the two networks lies for new images (or writers).
    #[serde(default)]
    pub interval: Option<Interval>,
}

/// The fixed words of a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// One recipe is better, for new images and new seeds too.
    Better,
    /// One recipe is better on these test images; for new ones that is not shown. (Earlier versions said this of one
    /// seed each, too.)
    BetterOnTheseImagesOnly,
    /// The difference of the recipes lies within the margin.
    EquivalentWithinTheMargin,
    /// With one seed each: one trained network is better, for new images too. Of the recipes it says nothing.
    NetworkBetter,
    /// With one seed each: the difference of the two trained networks lies within the margin. Of the recipes it says
    /// nothing.
    NetworkEquivalentWithinTheMargin,
    /// None of these is shown.
    NotResolved,
}

impl Verdict {
    /// Whether it says that one of the two is better.
    pub fn favours_one(self) -> bool {
        match self {
            Verdict::Better | Verdict::BetterOnTheseImagesOnly | Verdict::NetworkBetter => true,
            Verdict::EquivalentWithinTheMargin | Verdict::NetworkEquivalentWithinTheMargin | Verdict::NotResolved => {
                false
            }
        }
    }
}

/// Which recipe to take. All of it follows from validation alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// The recipe with the highest mean balanced accuracy on validation.
    pub highest: String,
    /// All recipes that validation does not tell from it, itself included: whose interval of the difference over seeds
    /// reaches 0, or with one seed, whose difference is below the margin or two standard errors of the images.
    pub leading: Vec<String>,
    /// The one of these with the fewest parameters.
    pub smallest: String,
    /// The one of these with the shortest median training; null unless all have a time, and from one kind of machine.
    pub fastest: Option<String>,
}

/// Test images that the same recipes get wrong: most of their seeds do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SharedMistakes {
    /// The recipes, in the order of the study; the others get these images right.
    pub recipes: Vec<String>,
    /// How many images.
    pub count: usize,
    /// The hardest of them, the hardest first: the number of each in the test set. At most [`SharedMistakes::SHOWN`].
    pub hardest: Vec<usize>,
}

impl SharedMistakes {
    /// How many images of each set of recipes are named.
    pub const SHOWN: usize = 48;
}
