//! A card for each filter: its kernel, what it answers to, and whether it matters.

use crate::feature_maps::{FeatureMap, Image};
use crate::filters::Filter;

/// What is known of one filter.
#[derive(Clone, PartialEq, Debug)]
pub struct Card {
    /// The kernel.
    pub filter: Filter,
    /// Balanced accuracy lost without it (1 is all), the class that suffers most and the recall it loses; none if not measured.
    pub matters: Option<Matters>,
    /// Its largest response before ReLU.
    pub largest: f32,
    /// Share of its responses that ReLU cuts off; none where no ReLU follows.
    pub cut: Option<f64>,
    /// Whether it never answers.
    pub dead: bool,
    /// The filter that answers alike.
    pub duplicate_of: Option<usize>,
    /// Its response to the image that all cards share.
    pub response: Option<FeatureMap>,
    /// The patches that excite it most, the strongest first, each as large as what the filter sees.
    pub patches: Vec<Patch>,
}

/// What silencing a filter costs.
#[derive(Clone, PartialEq, Debug)]
pub struct Matters {
    /// Balanced accuracy lost, 1 being all.
    pub lost: f64,
    /// The class that suffers most, as it is to be printed.
    pub suffers: String,
    /// The recall that it loses, 1 being all.
    pub suffers_lost: f64,
}

/// A part of a training image.
#[derive(Clone, PartialEq, Debug)]
pub struct Patch {
    /// The pixels; grey (or transparent padding as black) where the filter sees beyond the image.
    pub image: Image,
    /// Which training image, as it is to be printed.
    pub of: String,
    /// The response before ReLU.
    pub value: f32,
}

/// What all cards of a picture share.
#[derive(Clone, PartialEq, Debug)]
pub struct Sheet {
    /// The title: `conv1 of cnn2 seed 1`.
    pub title: String,
    /// Filters that the layer has; the cards may be some of them.
    pub of: usize,
    /// The largest magnitude of the layer's weights: one scale for all.
    pub limit: f32,
    /// The image whose response the cards show.
    pub image: Option<Image>,
    /// The cards, in the order in which they are to be shown.
    pub cards: Vec<Card>,
}
