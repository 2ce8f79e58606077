//! Trains one network on MNIST: `cargo run --release -p tenfold-nn --example train_mnist -- "conv 32 5x5 same" relu
//! "maxpool 2" "linear 10"`. The shortest complete program on top of the library.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use tenfold_nn::data::Source;
use tenfold_nn::model::{Architecture, Layer};
use tenfold_nn::optim::Optimizer;
use tenfold_nn::train::{Event, Flow, TrainSettings, train};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut layers = std::env::args().skip(1).map(|l| l.parse()).collect::<Result<Vec<Layer>, _>>()?;
    if layers.is_empty() {
        layers = ["linear 200", "relu", "linear 10"].iter().map(|l| l.parse()).collect::<Result<_, _>>()?;
    }
    let splits = Source::mnist().split(6_000, 0)?;
    let architecture = Architecture::new(splits.train.shape(), layers, splits.train.classes())?;
    let config =
        TrainSettings { batch_size: 50, epochs: 1, optimizer: Optimizer::adam(5e-5), ..TrainSettings::default() }
            .with_seed(1);
    let threads = std::thread::available_parallelism()?.get();
    let outcome = train(&architecture, &config, &splits.train, &splits.valid, threads, &mut |event| {
        if let Event::Epoch { result: e, .. } = event {
            println!(
                "epoch {} train loss {:.4} valid loss {:.4} valid accuracy {:.4}, {:.2} s + {:.2} s",
                e.epoch, e.train_loss, e.valid_loss, e.valid_accuracy, e.train_time_s, e.evaluation_time_s
            );
        }
        Flow::Continue
    });
    println!("test accuracy {:.4}", splits.test.evaluate(&outcome.model, threads).accuracy);
    Ok(())
}
