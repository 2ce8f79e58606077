//! What an example of each class counts in the loss that is learned from.

use serde::{Deserialize, Serialize};

/// What examples of the classes count in the loss of a training step. Evaluation counts all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// All the same.
    #[default]
    None,
    /// Each class has the same total weight: one of its examples counts `N / (K n)`, where `n` of the `N` training
    /// examples are of the class, and `K` classes occur. That is 1 in the mean over the training examples. The loss of
    /// a step is the sum of weighted losses by the number of its examples, as Keras's `class_weight` has it, and not by
    /// the sum of their weights, as PyTorch's `CrossEntropyLoss(weight=...)`: there the weights of a batch of one class
    /// cancel, and rare classes count too little in small batches.
    Balanced,
}

impl ClassWeights {
    /// By class, for training examples of these labels; none where all count the same. A class without examples has 0.
    pub(crate) fn of(self, labels: &[u16], classes: usize) -> Option<Vec<f32>> {
        if self == ClassWeights::None {
            return None;
        }
        let mut counts = vec![0_u64; classes];
        labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        let occurring = counts.iter().filter(|&&count| count > 0).count() as u64;
        let weight = |count: u64| if count == 0 { 0.0 } else { labels.len() as f64 / (occurring * count) as f64 };
        Some(counts.into_iter().map(|count| weight(count) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::super::testing::{assert_near, gradients_of, some_digits};
    use super::super::{Flow, Pixels, TrainSettings, train_on};
    use super::*;
    use crate::batch::Batch;
    use crate::evaluate::evaluate;
    use crate::model::Architecture;
    use crate::optim::Optimizer;
    use crate::workers::Team;
    use tenfold_kernels::Isa;
    use tenfold_kernels::softmax_cross_entropy::Counts;

    /// PyTorch divides the sum of weighted losses by the sum of the weights in the batch, we by the number of images:
    /// its loss and gradients, times sum by number, are ours. Tolerances as in `train::pytorch`.
    #[test]
    fn weights_are_scikit_learns_and_losses_and_gradients_pytorchs() {
        let fixture = Fixture::at("class-weights");
        let (model, data) = (fixture.model(Pixels::default()), fixture.data());
        let weights = ClassWeights::Balanced.of(data.labels(), data.classes()).expect("there are weights");
        let as_f64: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
        assert_near(&as_f64, &fixture.f64s("weights.f64").expect("weights"), 1e-7, "class weights");
        let (size, all) = (fixture.usize("batch"), (0..data.len() as u32).collect::<Vec<_>>());
        assert!(!all.len().is_multiple_of(size), "the last batch is a smaller one");
        for (number, indices) in all.chunks(size).enumerate() {
            let sum: f64 = indices.iter().map(|&n| as_f64[usize::from(data.labels()[n as usize])]).sum();
            let ours_by_theirs = sum / indices.len() as f64;
            assert!((ours_by_theirs - 1.0).abs() > 0.01, "batch {number} does not tell one mean from the other");
            for &isa in Isa::available() {
                for threads in [1, 3] {
                    let batch = Batch {
                        counts: Counts { weights: Some(&weights), ..Counts::default() },
                        ..Batch::evaluated(&data, indices)
                    };
                    let (_, loss, grads) = gradients_of(isa, Team { threads, relay: false }, &model, &[batch]);
                    fixture.check(&format!("batch{number}.loss"), None, &[loss / ours_by_theirs], 1e-6);
                    for (param, mut grad) in grads {
                        grad.iter_mut().for_each(|value| *value /= ours_by_theirs);
                        fixture.check(&format!("batch{number}.grad.{param}"), Some(&param), &grad, 1e-5);
                    }
                }
            }
        }
        assert_eq!(ClassWeights::None.of(data.labels(), data.classes()), None);
        assert_eq!(ClassWeights::Balanced.of(&[0, 0, 2], 3), Some(vec![0.75, 0.0, 1.5]));
    }

    #[test]
    fn weights_have_mean_1_over_the_training_images_and_the_same_sum_in_each_class() {
        let labels: Vec<u16> =
            [(0, 700), (1, 1), (3, 90), (4, 209)].into_iter().flat_map(|(l, n)| vec![l; n]).collect();
        let weights = ClassWeights::Balanced.of(&labels, 5).expect("there are weights");
        let mut sums = [0.0; 5];
        labels.iter().for_each(|&label| sums[usize::from(label)] += f64::from(weights[usize::from(label)]));
        // Class 2 has no images. 1e-7: weights are f32.
        assert_near(&sums, &[250.0, 250.0, 0.0, 250.0, 250.0], 1e-7, "sums of weights");
    }

    #[test]
    fn weights_do_not_cancel_in_a_batch_of_one_class() {
        let fixture = Fixture::at("class-weights");
        let (model, data) = (fixture.model(Pixels::default()), fixture.data());
        let weights = ClassWeights::Balanced.of(data.labels(), data.classes()).expect("there are weights");
        for (class, &weight) in weights.iter().enumerate() {
            let of_class: Vec<u32> =
                (0..data.len() as u32).filter(|&n| usize::from(data.labels()[n as usize]) == class).collect();
            let plain = Batch::evaluated(&data, &of_class);
            let weighted = Batch { counts: Counts { weights: Some(&weights), ..Counts::default() }, ..plain };
            let of = |batch| gradients_of(Isa::detect(), Team { threads: 1, relay: false }, &model, &[batch]);
            let ((_, loss, grads), (_, weighted_loss, weighted_grads)) = (of(plain), of(weighted));
            let weight = f64::from(weight);
            assert_near(&[weighted_loss], &[weight * loss], 1e-7, &format!("loss of class {class}"));
            for ((param, grad), (_, weighted)) in grads.into_iter().zip(weighted_grads) {
                let expected: Vec<f64> = grad.into_iter().map(|value| value * weight).collect();
                assert_near(&weighted, &expected, 1e-5, &format!("gradient of {param}, class {class}"));
            }
        }
    }

    #[test]
    fn a_training_learns_from_weighted_losses_and_validates_with_all_the_same() {
        // Of digits 0 to 4 a fifth as many as of the others.
        let (digits, valid) = some_digits(400, 100);
        let few = (0..400).filter(|&n| digits.labels()[n as usize] > 4 || n % 5 == 0).collect::<Vec<u32>>();
        let train = digits.select(&few);
        let net = Architecture::new(train.shape(), vec!["linear 10".parse().expect("a layer")], 10).expect("fits");
        let with = |batch_size, lr, class_weights, isa, threads| {
            let optimizer = Optimizer::Sgd { lr, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
            let settings =
                TrainSettings { epochs: 1, batch_size, optimizer, class_weights, ..TrainSettings::default() };
            train_on(isa, &net, &settings.with_seed(1), &train, &valid, threads, None, &mut |_| Flow::Continue)
        };
        let outcome = |class_weights, isa, threads| with(train.len(), 0.05, class_weights, isa, threads);
        let balanced = outcome(ClassWeights::Balanced, Isa::detect(), 1);
        let plain = outcome(ClassWeights::None, Isa::detect(), 1);
        // One step, from the parameters that both begin with: what its loss was, and which one it fell for.
        let start = crate::model::Model::new(net.clone(), TrainSettings::default().init, 1, Pixels::default());
        let loss = |model| {
            let evaluation = evaluate(model, &train, 1);
            let weights = ClassWeights::Balanced.of(train.labels(), 10).expect("there are weights");
            let examples = evaluation.probabilities.chunks(10).zip(train.labels());
            let weighted = examples
                .map(|(p, &label)| -f64::from(weights[usize::from(label)]) * f64::from(p[usize::from(label)]).ln());
            [evaluation.loss, weighted.sum::<f64>() / train.len() as f64]
        };
        let [unweighted, weighted] = loss(&start);
        assert!((plain.epochs[0].train_loss - unweighted).abs() < 1e-6, "{} {unweighted}", plain.epochs[0].train_loss);
        assert!(
            (balanced.epochs[0].train_loss - weighted).abs() < 1e-6,
            "{} {weighted}",
            balanced.epochs[0].train_loss
        );
        // The same in batches of one image each, from which next to nothing is learned.
        let one_by_one = with(1, 1e-12, ClassWeights::Balanced, Isa::detect(), 1).epochs[0].train_loss;
        assert!((one_by_one - weighted).abs() < 1e-6, "{one_by_one} {weighted}");
        assert!((weighted - unweighted).abs() > 1e-3, "{weighted} {unweighted}");
        let ([plain_all, plain_each], [all, each]) = (loss(&plain.model), loss(&balanced.model));
        assert!(plain_all < all && each < plain_each, "{plain_all} {all}, {each} {plain_each}");
        assert_eq!(balanced.epochs[0].valid_loss, evaluate(&balanced.model, &valid, 1).loss);
        for &isa in Isa::available() {
            for threads in [1, 3] {
                let again = outcome(ClassWeights::Balanced, isa, threads);
                assert_eq!(again.model.tensor("fc1.weight"), balanced.model.tensor("fc1.weight"), "{}", isa.name());
                assert_eq!(again.epochs[0].train_loss, balanced.epochs[0].train_loss, "{}", isa.name());
            }
        }
    }
}
