//! Where everything that a step needs lies in memory, worked out once for a batch size.

use crate::aligned::{Aligned, LINE};
use crate::graph::{Graph, ValueId};
use crate::ops::Operation;
use std::ops::Range;
use tenfold_kernels::conv::pooled::weight::Entry;

/// A graph with a place for every buffer.
pub(crate) struct Plan {
    pub(crate) graph: Graph,
    pub(crate) batch_size: usize,
    /// Whether there is room for gradients.
    pub(crate) training: bool,
    /// Of every value: where it starts, and where its gradient does.
    outputs: Vec<usize>,
    grads: Vec<usize>,
    room: Room,
}

impl Plan {
    /// `training` makes room for gradients.
    pub(crate) fn new(graph: &Graph, batch_size: usize, training: bool) -> Plan {
        let mut graph = graph.clone();
        let mut room = Room { batch_size, values: LINE, ..Room::default() };
        let (mut outputs, mut grads) = (vec![0; graph.values.len()], vec![0; graph.values.len()]);
        for at in 0..graph.nodes.len() {
            let node = &graph.nodes[at];
            let (output, inputs) = (node.output.0, node.inputs.clone());
            let len = graph.values[output].layout.image_len();
            match graph.values[output].made_by {
                Some(_) => room.image(len),
                None => outputs[output] = room.floats(batch_size * len),
            }
            let learns = training && graph.values[output].wants_gradient;
            if learns {
                grads[output] = match graph.shares_gradient(at) {
                    Some(input) => grads[input.0],
                    None => room.floats(batch_size * graph.values[output].grad.image_len()),
                };
            }
            let added: Vec<ValueId> =
                inputs.iter().copied().filter(|&input| learns && !graph.is_first_writer(at, input)).collect();
            for &input in &added {
                room.spare(graph.values[input.0].grad.image_len());
            }
            let wiring = Wiring { learns, adds: !added.is_empty() };
            graph.nodes[at].op.plan(&mut room, &wiring);
        }
        Plan { graph, batch_size, training, outputs, grads, room }
    }

    /// Where images `images` of a value lie.
    pub(crate) fn value(&self, value: ValueId, images: Range<usize>) -> Range<usize> {
        let (start, len) = (self.outputs[value.0], self.graph.values[value.0].layout.image_len());
        start + images.start * len..start + images.end * len
    }

    /// Where images `images` of a value's gradient lie.
    pub(crate) fn grad(&self, value: ValueId, images: Range<usize>) -> Range<usize> {
        let (start, len) = (self.grads[value.0], self.graph.values[value.0].grad.image_len());
        start + images.start * len..start + images.end * len
    }

    /// Bytes of the memory and of each thread's scratch.
    pub(crate) fn bytes(&self, threads: usize) -> u64 {
        let Room { floats, bytes, values, products, spare, image, mask, entries, .. } = self.room;
        let scratch = 4 * (values + products + spare + image) + mask + entries * size_of::<Entry>();
        (4 * floats + bytes + threads * scratch) as u64
    }

    /// The memory that the plan is for.
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            floats: Aligned::zeroed(self.room.floats),
            bytes: vec![0; self.room.bytes],
            losses: vec![0.0; self.batch_size],
            correct: vec![0; self.batch_size],
        }
    }

    /// What each thread needs for itself.
    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            values: Aligned::zeroed(self.room.values),
            entries: vec![Entry::default(); self.room.entries],
            products: Aligned::zeroed(self.room.products),
            spare: Aligned::zeroed(self.room.spare),
            image: Aligned::zeroed(self.room.image),
            labels: vec![0; self.batch_size],
            mask: vec![0; self.room.mask],
        }
    }
}

/// What an operation sees of its place in the graph when it asks for memory.
pub(crate) struct Wiring {
    /// Whether it runs backward.
    pub(crate) learns: bool,
    /// Whether it adds to a gradient that another has written before.
    pub(crate) adds: bool,
}

/// Hands out memory. What is scratch is each thread's own, and serves all operations in turn: it is as large as the
/// largest that any asks for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Room {
    pub(crate) batch_size: usize,
    floats: usize,
    bytes: usize,
    values: usize,
    products: usize,
    spare: usize,
    image: usize,
    mask: usize,
    entries: usize,
}

impl Room {
    /// `len` elements on a cache line of their own, and a line more: vectors may be read beyond the last element.
    pub(crate) fn floats(&mut self, len: usize) -> usize {
        let start = self.floats;
        self.floats += len.next_multiple_of(LINE) + LINE;
        start
    }

    pub(crate) fn bytes(&mut self, len: usize) -> usize {
        let start = self.bytes;
        self.bytes += len;
        start
    }

    /// [`Scratch::values`] of at least `len`.
    pub(crate) fn values(&mut self, len: usize) {
        self.values = self.values.max(len);
    }

    /// [`Scratch::products`] of at least `len`.
    pub(crate) fn products(&mut self, len: usize) {
        self.products = self.products.max(len);
    }

    /// [`Scratch::spare`] of at least `len`.
    pub(crate) fn spare(&mut self, len: usize) {
        self.spare = self.spare.max(len);
    }

    /// [`Scratch::image`] of at least `len`.
    fn image(&mut self, len: usize) {
        self.image = self.image.max(len);
    }

    /// [`Scratch::mask`] of at least `len`.
    pub(crate) fn mask(&mut self, len: usize) {
        self.mask = self.mask.max(len);
    }

    /// [`Scratch::entries`], at least `len`.
    pub(crate) fn entries(&mut self, len: usize) {
        self.entries = self.entries.max(len);
    }
}

/// The memory of one plan.
pub(crate) struct Memory {
    pub(crate) floats: Aligned,
    pub(crate) bytes: Vec<u8>,
    pub(crate) losses: Vec<f64>,
    pub(crate) correct: Vec<u8>,
}

/// Memory of one thread.
pub(crate) struct Scratch {
    pub(crate) values: Aligned,
    pub(crate) entries: Vec<Entry>,
    /// Spectra or tiles of a few images' convolutions, and their products.
    pub(crate) products: Aligned,
    /// A gradient that is added to what others have passed on.
    pub(crate) spare: Aligned,
    /// An image of a value that is not kept.
    pub(crate) image: Aligned,
    pub(crate) labels: Vec<u16>,
    /// Which pixels are not zero, where each thread needs another part.
    pub(crate) mask: Vec<u8>,
}
