//! The written form of a network: a list of layers, in which a list inside the list is a residual block.

use super::layer::{Layer, LayerError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An element of the list that a network is written as.
#[derive(Clone, PartialEq, Debug)]
pub enum Block {
    /// A layer.
    Layer(Layer),
    /// Layers whose output is added to their input: a residual block (He et al. 2016). Where the two have other shapes,
    /// a 1x1 convolution with a stride and a batch norm make the one's of the other's: the shortcut.
    Residual(Vec<Layer>),
}

impl From<Layer> for Block {
    fn from(layer: Layer) -> Block {
        Block::Layer(layer)
    }
}

impl fmt::Display for Block {
    /// As it is written: `relu`, or `[conv 8 3x3 same, relu]`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Block::Layer(layer) => layer.fmt(f),
            Block::Residual(layers) => {
                let layers: Vec<String> = layers.iter().map(Layer::to_string).collect();
                write!(f, "[{}]", layers.join(", "))
            }
        }
    }
}

/// An element of the list as texts, which is how files have it: `"relu"`, or `["conv 8 3x3 same", "relu"]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BlockText {
    /// A layer.
    Layer(String),
    /// The layers of a residual block.
    Residual(Vec<String>),
}

impl BlockText {
    /// What is written.
    ///
    /// # Errors
    /// If a text is not a layer.
    pub fn parse(&self) -> Result<Block, LayerError> {
        match self {
            BlockText::Layer(text) => text.parse().map(Block::Layer),
            BlockText::Residual(texts) => {
                texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Block::Residual)
            }
        }
    }

    /// The texts of the layers in it.
    pub fn texts(&self) -> &[String] {
        match self {
            BlockText::Layer(text) => std::slice::from_ref(text),
            BlockText::Residual(texts) => texts,
        }
    }
}

impl fmt::Display for BlockText {
    /// As [`Block`] has it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            BlockText::Layer(text) => write!(f, "{text}"),
            BlockText::Residual(texts) => write!(f, "[{}]", texts.join(", ")),
        }
    }
}

impl From<&Block> for BlockText {
    fn from(block: &Block) -> BlockText {
        match block {
            Block::Layer(layer) => BlockText::Layer(layer.to_string()),
            Block::Residual(layers) => BlockText::Residual(layers.iter().map(Layer::to_string).collect()),
        }
    }
}

impl From<&str> for BlockText {
    fn from(text: &str) -> BlockText {
        BlockText::Layer(text.to_owned())
    }
}

/// How many layers a list has, those in residual blocks among them.
pub fn layer_count(blocks: &[BlockText]) -> usize {
    blocks.iter().map(|block| block.texts().len().max(1)).sum()
}

/// Blocks of their texts, for tests: `relu`, or `[conv 8 3x3 same, relu]`.
#[cfg(test)]
pub(crate) fn blocks(texts: &[&str]) -> Vec<Block> {
    let block = |text: &&str| match text.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')) {
        Some(inside) => BlockText::Residual(inside.split(", ").map(str::to_owned).collect()),
        None => BlockText::from(*text),
    };
    texts.iter().map(|text| block(text).parse().expect(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_the_list_is_a_residual_block() {
        let json = r#"["conv 8 3x3 same",["conv 8 3 same","relu"],"linear 10"]"#;
        let texts: Vec<BlockText> = serde_json::from_str(json).expect("texts");
        let blocks: Vec<Block> = texts.iter().map(|text| text.parse().expect("layers")).collect();
        assert_eq!(blocks[1].to_string(), "[conv 8 3x3 same, relu]");
        let canonical: Vec<BlockText> = blocks.iter().map(BlockText::from).collect();
        assert_eq!((canonical[1].to_string(), layer_count(&canonical)), (blocks[1].to_string(), 4));
        let json = serde_json::to_string(&canonical).expect("JSON");
        assert_eq!(json, r#"["conv 8 3x3 same",["conv 8 3x3 same","relu"],"linear 10"]"#);
        let wrong = BlockText::Residual(vec!["relu".into(), "rleu".into()]);
        assert!(wrong.parse().expect_err("no layer").to_string().contains("did you mean \"relu\"?"));
    }
}
