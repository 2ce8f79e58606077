//! The data sets that can be fetched: where they are, what identifies them, and what is in them.

use tenfold_data::ImageShape;

use super::table::{Checksum, DataSet, Download, Holds, Member};

/// Grey, 28 by 28, as MNIST's.
const GREY: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const COLOUR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

const fn whole(name: &'static str, bytes: Option<u64>, checksum: Checksum) -> Download {
    Download { name, bytes, checksum, holds: Holds::Itself }
}

const fn needed(path: &'static str) -> Member {
    Member { path, optional: false }
}

macro_rules! emnist {
    ($name:literal, $part:literal, $shows:literal, $classes:literal, $images:expr) => {
        DataSet {
            name: $name,
            title: concat!("EMNIST ", $part),
            shows: $shows,
            licence: "none stated",
            images: $images,
            classes: $classes,
            names: &[],
            shape: GREY,
            family: "emnist",
            mirrors: EMNIST_MIRRORS,
            files: &[Download {
                name: "gzip.zip",
                bytes: Some(561_753_746),
                checksum: Checksum::Sha256("fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"),
                holds: Holds::Zip(&[
                    needed(concat!("gzip/emnist-", $part, "-train-images-idx3-ubyte.gz")),
                    needed(concat!("gzip/emnist-", $part, "-train-labels-idx1-ubyte.gz")),
                    needed(concat!("gzip/emnist-", $part, "-test-images-idx3-ubyte.gz")),
                    needed(concat!("gzip/emnist-", $part, "-test-labels-idx1-ubyte.gz")),
                    Member { path: concat!("gzip/emnist-", $part, "-mapping.txt"), optional: true },
                ]),
            }],
        }
    };
}

const EMNIST_MIRRORS: &[&str] =
    &["https://biometrics.nist.gov/cs_links/EMNIST/", "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/"];

/// The home page of CIFAR's author, and where it leads to.
const CIFAR_MIRRORS: &[&str] = &["https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"];

/// Every data set that can be fetched by its name.
///
/// Checksums and sizes are those that torchvision 0.29 and TensorFlow Datasets check, and for the contents of Fashion-MNIST
/// those of Debian's package.
pub(crate) const TABLE: &[DataSet] = &[
    DataSet {
        name: "fashion-mnist",
        title: "Fashion-MNIST",
        shows: "clothes and shoes",
        licence: "MIT",
        images: &[[60_000, 10_000]],
        classes: 10,
        names: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        shape: GREY,
        family: "fashion-mnist",
        mirrors: &[
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ],
        files: &[
            whole(
                "train-images-idx3-ubyte.gz",
                Some(26_421_880),
                Checksum::Contents("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            ),
            whole(
                "train-labels-idx1-ubyte.gz",
                Some(29_515),
                Checksum::Contents("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            ),
            whole(
                "t10k-images-idx3-ubyte.gz",
                Some(4_422_102),
                Checksum::Contents("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            ),
            whole(
                "t10k-labels-idx1-ubyte.gz",
                Some(5_148),
                Checksum::Contents("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
            ),
        ],
    },
    DataSet {
        name: "kmnist",
        title: "Kuzushiji-MNIST",
        shows: "old Japanese characters",
        licence: "CC BY-SA 4.0 (doi:10.20676/00000341)",
        images: &[[60_000, 10_000]],
        classes: 10,
        names: &["o お", "ki き", "su す", "tsu つ", "na な", "ha は", "ma ま", "ya や", "re れ", "wo を"],
        shape: GREY,
        family: "kmnist",
        mirrors: &["https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
        files: &[
            whole(
                "train-images-idx3-ubyte.gz",
                Some(18_165_135),
                Checksum::Sha256("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
            ),
            whole(
                "train-labels-idx1-ubyte.gz",
                Some(29_497),
                Checksum::Sha256("e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
            ),
            whole(
                "t10k-images-idx3-ubyte.gz",
                Some(3_041_136),
                Checksum::Sha256("edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
            ),
            whole(
                "t10k-labels-idx1-ubyte.gz",
                Some(5_120),
                Checksum::Sha256("20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
            ),
        ],
    },
    emnist!(
        "emnist-letters",
        "letters",
        "handwritten letters, large and small as one",
        26,
        &[[124_800, 20_800], [88_800, 14_800]]
    ),
    emnist!("emnist-balanced", "balanced", "handwritten letters and digits", 47, &[[112_800, 18_800]]),
    emnist!("emnist-digits", "digits", "handwritten digits", 10, &[[240_000, 40_000]]),
    DataSet {
        name: "qmnist",
        title: "QMNIST",
        shows: "MNIST's digits with their writers, and 50,000 test images more",
        licence: "BSD 3-clause",
        images: &[[60_000, 60_000]],
        classes: 10,
        names: &[],
        shape: GREY,
        family: "qmnist",
        mirrors: &[
            "https://raw.githubusercontent.com/facebookresearch/qmnist/master/",
            "https://github.com/facebookresearch/qmnist/raw/master/",
        ],
        files: &[
            whole("qmnist-train-images-idx3-ubyte.gz", None, Checksum::Md5("ed72d4157d28c017586c42bc6afe6370")),
            whole("qmnist-train-labels-idx2-int.gz", Some(463_024), Checksum::Md5("0058f8dd561b90ffdd0f734c6a30e5e4")),
            whole("qmnist-test-images-idx3-ubyte.gz", None, Checksum::Md5("1394631089c404de565df7b7aeaf9412")),
            whole("qmnist-test-labels-idx2-int.gz", Some(526_800), Checksum::Md5("5b5b05890a5e13444e108efe57b788aa")),
        ],
    },
    DataSet {
        name: "cifar-10",
        title: "CIFAR-10",
        shows: "photographs of animals and vehicles",
        licence: "none stated",
        images: &[[50_000, 10_000]],
        classes: 10,
        names: &[],
        shape: COLOUR,
        family: "cifar-10",
        mirrors: CIFAR_MIRRORS,
        files: &[Download {
            name: "cifar-10-binary.tar.gz",
            bytes: Some(170_052_171),
            checksum: Checksum::Sha256("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
            holds: Holds::TarGz(&[
                needed("cifar-10-batches-bin/data_batch_1.bin"),
                needed("cifar-10-batches-bin/data_batch_2.bin"),
                needed("cifar-10-batches-bin/data_batch_3.bin"),
                needed("cifar-10-batches-bin/data_batch_4.bin"),
                needed("cifar-10-batches-bin/data_batch_5.bin"),
                needed("cifar-10-batches-bin/test_batch.bin"),
                needed("cifar-10-batches-bin/batches.meta.txt"),
            ]),
        }],
    },
    DataSet {
        name: "cifar-100",
        title: "CIFAR-100",
        shows: "photographs of things, plants, animals and people",
        licence: "none stated",
        images: &[[50_000, 10_000]],
        classes: 100,
        names: &[],
        shape: COLOUR,
        family: "cifar-100",
        mirrors: CIFAR_MIRRORS,
        files: &[Download {
            name: "cifar-100-binary.tar.gz",
            bytes: Some(168_513_733),
            checksum: Checksum::Sha256("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
            holds: Holds::TarGz(&[
                needed("cifar-100-binary/train.bin"),
                needed("cifar-100-binary/test.bin"),
                needed("cifar-100-binary/fine_label_names.txt"),
                needed("cifar-100-binary/coarse_label_names.txt"),
            ]),
        }],
    },
];
