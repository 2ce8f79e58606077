//! One network on labelled images that it has never seen: its metrics, and where they lie for other such images.

use std::collections::BTreeMap;

use tenfold_nn::Precision;
use tenfold_nn::train::TrainSettings;

use super::{MARGIN, RecipeStatistics, RecipeTrials, TestImages, compare};
use crate::metrics::Metrics;
use crate::record::{Environment, Reason, RecipeRecord, Status, Stopped, Timing, TrialRecord};
use crate::trial::Prediction;

/// Metrics of what a network said of `images`, one prediction for each, and their intervals for new images like these
/// (and new groups, where there are groups); none where there is one image, or one group. `loss` is the mean
/// cross-entropy.
///
/// # Panics
/// If there are not as many predictions as images, or as groups if there are any, or one is of no class.
pub fn of_network(said: Vec<Prediction>, loss: f64, images: &TestImages) -> (Metrics, Option<RecipeStatistics>) {
    let groups = images.groups.as_ref().map_or(images.labels.len(), |groups| groups.of.len());
    assert_eq!(groups, images.labels.len(), "groups and images");
    let predictions: Vec<u16> = said.iter().map(|said| said.prediction).collect();
    let metrics = Metrics::new(&images.labels, &predictions, images.classes, loss);
    let nothing = String::new;
    let environment = Environment {
        host: nothing(),
        cpu: nothing(),
        isa: nothing(),
        threads: 1,
        version: nothing(),
        commit: nothing(),
    };
    // The same figures as of a run with one recipe and one seed.
    let trial = TrialRecord {
        recipe: nothing(),
        seed: 1,
        identity: nothing(),
        settings: None,
        precision: Precision::F32,
        status: Status::Finished,
        stopped: Stopped { reason: Reason::Epochs, epoch: 0 },
        epochs: Vec::new(),
        train_time_s: 0.0,
        valid: Some(metrics.clone()),
        test: Some(metrics.clone()),
        calibration: None,
        weights_sha256: None,
        filters_sha256: None,
        environment,
        timing: Timing::default(),
        far_above_chance: false,
    };
    let record = RecipeRecord {
        name: nothing(),
        title: nothing(),
        layers: Vec::new(),
        settings: TrainSettings::default(),
        parameters: 0,
        macs_forward: 0,
        summary: None,
        published: None,
        ensemble: None,
        test_time_augmentation: None,
        trials: vec![trial],
    };
    let recipe = RecipeTrials { name: nothing(), record: &record, predictions: BTreeMap::from([(1, said)]) };
    let statistics = compare(&[recipe], images, MARGIN).recipes.pop();
    // Without draws there is only a formula for images that have nothing in common.
    (metrics, statistics.filter(|statistics| statistics.balanced_accuracy.new.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Groups;

    #[test]
    fn one_network_has_the_metrics_of_its_predictions_and_wider_intervals_by_groups() {
        let labels: Vec<u16> = (0..200).map(|n| n % 2).collect();
        let said = |n: usize| Prediction {
            label: labels[n],
            prediction: u16::from(n / 20 == 3 || n % 2 == 1),
            probability: 0.9,
        };
        let all: Vec<Prediction> = (0..200).map(said).collect();
        let images = TestImages { labels: labels.clone(), classes: 2, groups: None };
        let (metrics, statistics) = of_network(all.clone(), 0.5, &images);
        assert_eq!((metrics.accuracy, metrics.confusion.clone()), (0.95, vec![vec![90, 10], vec![0, 100]]));
        let width = |statistics: &Option<RecipeStatistics>| {
            let interval = statistics.as_ref().unwrap().accuracy.new.unwrap();
            assert!(interval.low < 0.95 && interval.high > 0.95, "{interval:?}");
            interval.high - interval.low
        };
        // A share of 0.95 of 200: Wilson's interval is 0.910 to 0.973.
        assert!((0.04..0.08).contains(&width(&statistics)), "{}", width(&statistics));
        let groups = Some(Groups { of: (0..200).map(|n| n / 20).collect(), are_writers: false });
        let (_, by_groups) = of_network(all, 0.5, &TestImages { groups, ..images });
        assert!(width(&by_groups) > 1.5 * width(&statistics));
        let one = TestImages { labels: vec![1], classes: 2, groups: None };
        let (metrics, statistics) =
            of_network(vec![Prediction { label: 1, prediction: 1, probability: 0.5 }], 0.7, &one);
        assert_eq!((metrics.accuracy, statistics), (1.0, None));
    }
}
