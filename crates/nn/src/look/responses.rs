//! What filters answer to, over many images.

use super::FilterLayer;
use crate::batch::Batch;
use crate::data::Dataset;
use crate::evaluate::BATCH;
use crate::layout::Layout;
use crate::model::Model;
use crate::plan::{Plan, Scratch};
use crate::step::{Learn, Step, StepOf};
use crate::workers::{Worker, on_threads};
use tenfold_kernels::arena::Arena;
use tenfold_kernels::{Isa, LANES};

/// What one filter answers to.
#[derive(Clone, PartialEq, Debug)]
pub struct FilterResponse {
    /// Its largest response before ReLU, bias included.
    pub largest: f32,
    /// Share of its responses that ReLU cuts off (those that are not above zero).
    pub cut: f64,
    /// The places that excite it most, at most one of each image, the strongest first; of equal ones that of the
    /// earlier image, and the first place in it.
    pub excited: Vec<Excited>,
}

/// A place that excites a filter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Excited {
    /// Which image.
    pub image: usize,
    /// Row of the response.
    pub row: usize,
    /// Column of the response.
    pub column: usize,
    /// The response before ReLU.
    pub value: f32,
}

/// What each filter of `layer` answers to among `data`, with the `most` places that excite it most. The same on any
/// number of threads.
///
/// # Panics
/// If the data are empty or do not fit the model, or the layer is not one of its.
pub fn responses(
    model: &Model,
    layer: &FilterLayer,
    data: &Dataset,
    most: usize,
    threads: usize,
) -> Vec<FilterResponse> {
    assert!(!data.is_empty(), "there must be examples");
    let columns = layer.response[1];
    let mut tallies = vec![vec![Tally::default(); layer.filters]; threads];
    each_image(model, layer, data, &mut tallies, |tallies, image, output| {
        for (vectors, tallies) in output.blocks().zip(tallies.chunks_mut(LANES)) {
            let (mut best, mut place) = ([f32::NEG_INFINITY; LANES], [0_u32; LANES]);
            let mut above = [0_u32; LANES];
            for (position, values) in vectors.enumerate() {
                for lane in 0..LANES {
                    above[lane] += u32::from(values[lane] > 0.0);
                    let better = values[lane] > best[lane];
                    best[lane] = if better { values[lane] } else { best[lane] };
                    place[lane] = if better { position as u32 } else { place[lane] };
                }
            }
            for (lane, tally) in tallies.iter_mut().enumerate() {
                let (row, column) = (place[lane] as usize / columns, place[lane] as usize % columns);
                tally.above += u64::from(above[lane]);
                tally.largest = tally.largest.max(best[lane]);
                tally.excite(Excited { image, row, column, value: best[lane] }, most);
            }
        }
    });
    let all = (data.len() * layer.response[0] * columns) as u64;
    let (first, others) = tallies.split_first_mut().expect("at least one thread");
    for (filter, tally) in first.iter_mut().enumerate() {
        for other in others.iter().map(|tallies| &tallies[filter]) {
            tally.above += other.above;
            tally.largest = tally.largest.max(other.largest);
            other.excited.iter().for_each(|&place| tally.excite(place, most));
        }
    }
    let response = |Tally { above, largest, excited }: Tally| {
        let cut = (all - above) as f64 / all as f64;
        FilterResponse { largest, cut, excited }
    };
    tallies.swap_remove(0).into_iter().map(response).collect()
}

/// The responses of all filters of `layer` to all of `data`, after ReLU where it follows: `[filters, images, rows,
/// columns]`. That is four bytes for each: of the first convolution of 32 filters over MNIST's images 100 kB an image.
///
/// # Panics
/// If the data do not fit the model, or the layer is not one of its.
pub fn response_maps(model: &Model, layer: &FilterLayer, data: &Dataset, threads: usize) -> Vec<f32> {
    let positions = layer.response[0] * layer.response[1];
    let mut maps = vec![0.0; layer.filters * data.len() * positions];
    let shared = Arena::new(&mut maps);
    each_image(model, layer, data, &mut vec![(); threads], |(), image, output| {
        for (block, vectors) in output.blocks().enumerate() {
            for filter in block * LANES..layer.filters.min((block + 1) * LANES) {
                let start = (filter * data.len() + image) * positions;
                let mut map = shared.write(start..start + positions);
                for (to, values) in map.iter_mut().zip(vectors.clone()) {
                    let value = values[filter % LANES];
                    *to = if layer.rectified { value.max(0.0) } else { value };
                }
            }
        }
    });
    drop(shared);
    maps
}

/// What is known of a filter's responses so far.
#[derive(Clone)]
struct Tally {
    /// Responses above zero.
    above: u64,
    largest: f32,
    excited: Vec<Excited>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { above: 0, largest: f32::NEG_INFINITY, excited: Vec::new() }
    }
}

impl Tally {
    /// Counts an image's strongest place, if it is among the `most` strongest of all.
    fn excite(&mut self, found: Excited, most: usize) {
        let before = |e: &Excited| e.value > found.value || (e.value == found.value && e.image < found.image);
        let at = self.excited.partition_point(before);
        if at < most {
            self.excited.truncate(most - 1);
            self.excited.insert(at, found);
        }
    }
}

/// The responses of a layer to one image.
struct Output<'a> {
    packed: &'a [f32],
    layout: &'a Layout,
}

impl<'a> Output<'a> {
    /// For each block of 16 filters their responses at each position, row by row.
    fn blocks(&self) -> impl Iterator<Item = impl Iterator<Item = &'a [f32; LANES]> + Clone> {
        // A row of features is a map of one position.
        let (blocks, rows, columns) = match self.layout {
            Layout::Planes(planes) => (planes.blocks(), planes.height(), planes.width()),
            Layout::Row { features, .. } => (features.div_ceil(LANES), 1, 1),
        };
        let (packed, layout) = (self.packed, self.layout);
        (0..blocks).map(move |block| {
            (0..rows).flat_map(move |row| {
                let start = match layout {
                    Layout::Planes(planes) => planes.offset(block, row, 0),
                    Layout::Row { .. } => block * LANES,
                };
                packed[start..start + columns * LANES].as_chunks().0
            })
        })
    }
}

/// Gives `look` the responses of `layer`, before any activation, to each image of `data`, on as many threads as there
/// are `locals`: each thread has its own, and gets its images in their order.
fn each_image<L: Send>(
    model: &Model,
    layer: &FilterLayer,
    data: &Dataset,
    locals: &mut [L],
    look: impl Fn(&mut L, usize, Output) + Sync,
) {
    let architecture = model.architecture();
    assert_eq!(data.shape(), architecture.input(), "data fit the network");
    // The layers before, and this one; what follows is an operation of its own.
    let mut graph = model.unfused();
    let at = graph.node_of_layer(layer.index).expect("the layer is one of the network's");
    graph.truncate(at + 1);
    let plan = Plan::new(&graph, BATCH.min(data.len().max(1)), false);
    let mut memory = plan.memory();
    let pixels = model.pixels().table(architecture.input());
    let classes = architecture.classes();
    let of = StepOf { isa: Isa::detect(), seed: 0, classes, pixels: &pixels };
    let step = Step::new(&plan, of, &mut memory, Arena::shared(model.values.as_slice()), Learn::Nothing);
    let threads = locals.len();
    let mut own: Vec<(Scratch, &mut L)> = locals.iter_mut().map(|local| (plan.scratch(), local)).collect();
    let all: Vec<u32> = (0..data.len() as u32).collect();
    let run = |worker: &Worker, (scratch, local): &mut (Scratch, &mut L)| {
        for indices in all.chunks(plan.batch_size) {
            step.forward(worker, scratch, &Batch::evaluated(data, indices), at + 1);
            // A linear layer's outputs are shared by columns, and the next batch may be shared otherwise.
            worker.barrier();
            for n in worker.share(indices.len()) {
                let image = indices[n] as usize;
                step.output(at, n, |packed, layout| look(local, image, Output { packed, layout }));
            }
            worker.barrier();
        }
    };
    on_threads(threads, &mut own, run, run);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;
    use crate::look::filter_layers;
    use crate::model::{Architecture, Init, Layer, Shape};
    use crate::rng::{Rng, Stream};
    use crate::train::Pixels;
    use tenfold_kernels::reference::{self, Window};

    fn pixels() -> Pixels {
        Pixels::all(0.1307, 0.3081)
    }

    fn network((channels, height, width): (usize, usize, usize), layers: &[&str]) -> Model {
        let layers = layers.iter().map(|layer| layer.parse().unwrap()).collect();
        let architecture = Architecture::new(ImageShape { channels, height, width }, layers, 3).unwrap();
        Model::new(architecture, Init::Pytorch, 5, pixels())
    }

    /// Random images, half of their pixels blank.
    fn images(shape: ImageShape, count: usize) -> Dataset {
        let rng = Rng::new(7, Stream::Init, 0);
        let pixels = (0..count * shape.len()).map(|i| rng.below_at(i as u64, 512).saturating_sub(256) as u8).collect();
        Dataset::new(pixels, vec![0; count], shape, 3).unwrap()
    }

    /// What the layer answers to one image before any activation, by plain loops.
    fn plain(model: &Model, layer: &FilterLayer, image: &[u8]) -> Vec<f64> {
        let table = model.pixels().table(model.architecture().input());
        let mut x: Vec<f32> = image.iter().enumerate().map(|(at, &pixel)| table.at(at, pixel)).collect();
        for (index, info) in model.architecture().layers().iter().enumerate() {
            let tensor = |what: &str| model.tensor(&format!("{}.{what}", info.name)).unwrap();
            let y = match (info.layer, info.input) {
                (Layer::Conv { kernel_size: kernel, stride, padding, .. }, Shape::Image(from)) => {
                    let (rows, columns) = padding.of(kernel);
                    let window = Window { kernel, stride, padding: [rows, columns, rows, columns] };
                    let from = (from.channels, from.height, from.width);
                    reference::conv2d_forward(&x, from, &tensor("weight"), &tensor("bias"), &window)
                }
                (Layer::MaxPool { kernel_size: kernel, stride }, Shape::Image(from)) => {
                    let window = Window { kernel, stride, padding: [0; 4] };
                    reference::maxpool2d_forward(&x, (from.channels, from.height, from.width), &window).0
                }
                (Layer::Linear { out_features }, _) => {
                    reference::linear_forward(&x, &tensor("weight"), &tensor("bias"), 1, x.len(), out_features)
                }
                (Layer::Relu, _) => x.iter().map(|&v| f64::from(v.max(0.0))).collect(),
                (other, _) => panic!("{other} is not part of the test"),
            };
            if index == layer.index {
                return y;
            }
            x = y.iter().map(|&v| v as f32).collect();
        }
        panic!("there is no layer {}", layer.index)
    }

    /// Every drawable layer of some networks, with images for it.
    fn cases() -> Vec<(Model, FilterLayer, Dataset)> {
        let two =
            ["conv 5 3x3 same", "relu", "maxpool 2", "conv 18 3x2 stride 2x1", "relu", "linear 4", "relu", "linear 3"];
        // The second convolution goes through a Fourier transform.
        let fourier = ["conv 16 5x5 same", "relu", "maxpool 2", "conv 17 5x5 same", "relu", "linear 3"];
        let networks = [
            (network((1, 9, 10), &two), 150),
            (network((3, 7, 8), &["conv 33 3x3", "linear 3"]), 70),
            (network((1, 28, 28), &fourier), 3),
            (network((1, 6, 5), &["linear 40", "relu", "linear 3"]), 131),
            (network((2, 4, 4), &["linear 3"]), 65),
        ];
        let mut cases = Vec::new();
        for (model, count) in networks {
            let data = images(model.architecture().input(), count);
            for layer in filter_layers(model.architecture()) {
                cases.push((model.clone(), layer, data.clone()));
            }
        }
        assert_eq!(cases.len(), 7);
        cases
    }

    #[test]
    fn maps_are_those_of_plain_loops() {
        for (model, layer, data) in cases() {
            let positions = layer.response[0] * layer.response[1];
            let maps = response_maps(&model, &layer, &data, 2);
            let before = response_maps(&model, &FilterLayer { rectified: false, ..layer.clone() }, &data, 1);
            assert_eq!(maps.len(), layer.filters * data.len() * positions);
            for image in 0..data.len() {
                let expected = plain(&model, &layer, data.image(image));
                for (i, &expected) in expected.iter().enumerate() {
                    let (filter, position) = (i / positions, i % positions);
                    let at = (filter * data.len() + image) * positions + position;
                    let case = format!("{layer:?}, image {image}, filter {filter}, position {position}");
                    assert!((f64::from(before[at]) - expected).abs() < 1e-4, "{case}: {} for {expected}", before[at]);
                    let after = if layer.rectified { before[at].max(0.0) } else { before[at] };
                    assert_eq!(maps[at], after, "{case}");
                }
            }
        }
    }

    #[test]
    fn responses_are_what_the_maps_say_on_any_number_of_threads() {
        for (model, layer, data) in cases() {
            let positions = layer.response[0] * layer.response[1];
            let maps = response_maps(&model, &FilterLayer { rectified: false, ..layer.clone() }, &data, 1);
            let expected = |most: usize| {
                let of_filter = |values: &[f32]| {
                    let mut excited = Vec::new();
                    for (image, values) in values.chunks(positions).enumerate() {
                        let value = values.iter().copied().fold(f32::MIN, f32::max);
                        let place = values.iter().position(|&v| v == value).unwrap();
                        let (row, column) = (place / layer.response[1], place % layer.response[1]);
                        excited.push(Excited { image, row, column, value });
                    }
                    // Stable: of equal ones the earlier image stays first.
                    excited.sort_by(|a, b| b.value.partial_cmp(&a.value).unwrap());
                    let largest = excited[0].value;
                    excited.truncate(most);
                    let cut = values.iter().filter(|&&v| v <= 0.0).count() as f64 / values.len() as f64;
                    FilterResponse { largest, cut, excited }
                };
                maps.chunks(data.len() * positions).map(of_filter).collect::<Vec<_>>()
            };
            for (most, threads) in [(4, 1), (4, 2), (4, 3), (0, 2), (1, 1), (1000, 2)] {
                let found = responses(&model, &layer, &data, most, threads);
                assert!(found == expected(most), "{layer:?}: the {most} strongest on {threads} threads");
            }
        }
    }

    #[test]
    fn of_equal_responses_the_earlier_image_and_the_first_place_come_first() {
        let model = network((1, 6, 6), &["conv 2 3x3", "relu", "linear 3"]);
        let layer = &filter_layers(model.architecture())[0];
        // Blank, save for two images that are the same and lie in the shares of different threads.
        let mut pixels = vec![0; 80 * 36];
        for image in [12, 70] {
            pixels[image * 36 + 14] = 200;
        }
        let data = Dataset::new(pixels, vec![0; 80], model.architecture().input(), 3).unwrap();
        for threads in [1, 2, 3] {
            for found in responses(&model, layer, &data, 3, threads) {
                let images: Vec<usize> = found.excited.iter().map(|place| place.image).collect();
                // A filter may like the dot or not, but never the second more than the first.
                assert!(images == [12, 70, 0] || images == [0, 1, 2], "{images:?}");
                let last = found.excited[2];
                assert_eq!((last.row, last.column), (0, 0), "{threads} threads");
            }
        }
    }
}
