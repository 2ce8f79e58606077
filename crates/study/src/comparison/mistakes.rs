//! Which test images the same recipes get wrong.

use std::collections::BTreeMap;

use super::SharedMistakes;
use crate::trial::Prediction;

/// A recipe's name and what each of its seeds said.
pub(super) type Said<'a> = (&'a str, Vec<&'a [Prediction]>);

/// The images that at least one recipe gets wrong, by the set of recipes that do: the larger sets first, of equally
/// large ones those with more images.
pub(super) fn shared_mistakes(recipes: &[Said], images: usize) -> Vec<SharedMistakes> {
    struct Image {
        number: usize,
        /// Trials of any recipe that are wrong.
        wrong: usize,
        /// The mean probability that these give their answer.
        confidence: f64,
    }
    let mut sets: BTreeMap<Vec<usize>, Vec<Image>> = BTreeMap::new();
    for number in 0..images {
        let (mut set, mut wrong, mut confidence) = (Vec::new(), 0, 0.0);
        for (recipe, (_, seeds)) in recipes.iter().enumerate() {
            let mistakes = seeds.iter().map(|said| said[number]).filter(|p| p.prediction != p.label);
            let mut count = 0;
            for p in mistakes {
                count += 1;
                confidence += f64::from(p.probability);
            }
            wrong += count;
            if 2 * count > seeds.len() {
                set.push(recipe);
            }
        }
        if !set.is_empty() {
            sets.entry(set).or_default().push(Image { number, wrong, confidence: confidence / wrong as f64 });
        }
    }
    let mut sets: Vec<_> = sets.into_iter().collect();
    // Both sorts are stable, so equals stay in the order of the recipes and of the images.
    sets.sort_by_key(|(set, images)| std::cmp::Reverse((set.len(), images.len())));
    let shared = sets.into_iter().map(|(set, mut images)| {
        // All images were seen by the same trials, so their number orders as their share does.
        images.sort_by(|a, b| b.wrong.cmp(&a.wrong).then(b.confidence.total_cmp(&a.confidence)));
        SharedMistakes {
            recipes: set.iter().map(|&recipe| recipes[recipe].0.to_owned()).collect(),
            count: images.len(),
            hardest: images.iter().take(SharedMistakes::SHOWN).map(|image| image.number).collect(),
        }
    });
    shared.collect()
}
