//! What `augment` does to an image, in `f64`.

/// The image `[C, H, W]` in which the pixel at `p` from the middle has the value that `from` has at `matrix * p + offset`
/// plus the pixel's `displacement(x, y)`, interpolated linearly along both axes; beyond its edge `from` is its nearest
/// pixel, or where `mirrored` its mirror image. Coordinates are `[x, y]`.
pub fn warped(
    [channels, height, width]: [usize; 3],
    from: &[u8],
    matrix: [[f64; 2]; 2],
    offset: [f64; 2],
    displacement: &dyn Fn(usize, usize) -> [f64; 2],
    mirrored: bool,
) -> Vec<f64> {
    let sides = [width, height].map(|side| (side - 1) as f64);
    let within = |at: f64, last: f64| {
        let at = if mirrored { at.abs() } else { at };
        let at = if mirrored && at > last { 2.0 * last - at } else { at };
        at.clamp(0.0, last)
    };
    let mut to = Vec::new();
    for channel in 0..channels {
        let pixel = |y: f64, x: f64| f64::from(from[(channel * height + y as usize) * width + x as usize]);
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let (p, moved) = ([x as f64 - sides[0] / 2.0, y as f64 - sides[1] / 2.0], displacement(x, y));
            let [u, v] = [0, 1].map(|axis| {
                let at = matrix[axis][0] * p[0] + matrix[axis][1] * p[1] + offset[axis] + moved[axis];
                within(at + sides[axis] / 2.0, sides[axis])
            });
            let ([left, top], [right, bottom]) =
                ([u.floor(), v.floor()], [(u.floor() + 1.0).min(sides[0]), (v.floor() + 1.0).min(sides[1])]);
            let (along, down) = (u - left, v - top);
            let above = pixel(top, left) * (1.0 - along) + pixel(top, right) * along;
            let below = pixel(bottom, left) * (1.0 - along) + pixel(bottom, right) * along;
            to.push(above * (1.0 - down) + below * down);
        }
    }
    to
}
