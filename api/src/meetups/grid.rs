//! Spatial index: a grid of cells over the globe, and the cells that a circle or ring covers. Pure functions.
//!
//! The map is treated as flat around the centre, which is accurate to a third of a percent for the largest radius
//! allowed.

/// Cells in a degree: a cell is 2.2 km from south to north.
const SQUARES: f64 = 50.0;
/// Cells of a row around the globe.
const ROW: i32 = 18_000;
/// Metres of a degree of latitude.
const DEGREE: f64 = 111_195.0;
/// Metres by which circles are enlarged and holes shrunk, so that rounding misses nothing.
const MARGIN: f64 = 1.0;
/// Width of the innermost ring in metres, and the factor by which each next ring is wider.
const FIRST_RING: f64 = 500.0;
const WIDER: f64 = 4.0;

/// The cell of a point.
pub fn cell(latitude: f64, longitude: f64) -> i64 {
    cell_at(square(latitude + 90.0), square(longitude + 180.0).clamp(0, ROW - 1))
}

fn cell_at(row: i32, column: i32) -> i64 {
    i64::from(row) * i64::from(ROW) + i64::from(column)
}

#[expect(clippy::cast_possible_truncation, reason = "degrees are few")]
fn square(degrees: f64) -> i32 {
    (degrees * SQUARES).floor() as i32
}

/// A circle on the map; with a hole, a ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circle {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Metres.
    pub radius: f64,
    /// Radius of the excluded inner circle, in metres.
    pub hole: f64,
}

impl Circle {
    /// The circle from the distance `from` on, as at most four rings of growing width.
    pub fn rings(self, from: f64) -> impl Iterator<Item = Self> {
        let (mut hole, mut reach) = (from, FIRST_RING);
        std::iter::from_fn(move || {
            let radius = (from + reach).min(self.radius);
            let ring = Self { hole, radius, ..self };
            (hole, reach) = (radius, reach * WIDER);
            (ring.hole < ring.radius).then_some(ring)
        })
    }

    /// Factors of a squared degree of latitude and of longitude in a squared distance in metres.
    pub fn weights(&self) -> (f64, f64) {
        (DEGREE * DEGREE, (DEGREE * self.narrowing()).powi(2))
    }

    /// The cells that it touches, as ranges.
    pub fn cells(&self) -> Vec<(i64, i64)> {
        let high = (self.radius + MARGIN) / DEGREE;
        let south = square((self.latitude - high).max(-90.0) + 90.0);
        let north = square((self.latitude + high).min(90.0) + 90.0);
        (south..=north).flat_map(|row| self.cells_of_row(row)).collect()
    }

    /// The range of cells in a row of the grid, or the two on either side of the hole.
    fn cells_of_row(&self, row: i32) -> impl Iterator<Item = (i64, i64)> {
        let metres_to = |row: i32| (f64::from(row) / SQUARES - 90.0 - self.latitude) * DEGREE;
        let (south, north) = (metres_to(row), metres_to(row + 1));
        let (nearest, farthest) = (south.max(-north).max(0.0), north.max(-south));
        let wide = self.degrees_east(self.radius + MARGIN, nearest);
        let first = square((self.longitude - wide).max(-180.0) + 180.0);
        let last = square((self.longitude + wide).min(180.0) + 180.0).min(ROW - 1);
        // The cells entirely within the hole: those between its first and last cell edge.
        let wide = self.degrees_east(self.hole - MARGIN, farthest);
        let (hole_first, hole_end) = (square(self.longitude - wide + 180.0) + 1, square(self.longitude + wide + 180.0));
        let runs =
            if hole_first < hole_end { [(first, hole_first - 1), (hole_end, last)] } else { [(first, last), (1, 0)] };
        let some = runs.into_iter().filter(|(first, last)| first <= last);
        some.map(move |(first, last)| (cell_at(row, first), cell_at(row, last)))
    }

    /// Degrees of longitude that a circle of `radius` extends at `away` metres north or south of the centre.
    fn degrees_east(&self, radius: f64, away: f64) -> f64 {
        let squared = if radius > away { radius * radius - away * away } else { 0.0 };
        (squared.sqrt() / (DEGREE * self.narrowing())).min(180.0)
    }

    /// Length of a degree of longitude here, relative to the equator.
    fn narrowing(&self) -> f64 {
        self.latitude.to_radians().cos().max(0.01)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEOUL: Circle = Circle { latitude: 37.5444, longitude: 127.0374, radius: 30_000.0, hole: 0.0 };

    /// The cells that are all within the runs of a circle.
    fn has(circle: &Circle, latitude: f64, longitude: f64) -> bool {
        let cell = cell(latitude, longitude);
        circle.cells().iter().any(|(first, last)| (*first..=*last).contains(&cell))
    }

    fn count(circle: &Circle) -> i64 {
        circle.cells().iter().map(|(first, last)| last - first + 1).sum()
    }

    /// The point so many metres away in a direction.
    fn away(circle: &Circle, metres: f64, degrees: u32) -> (f64, f64) {
        let (sin, cos) = f64::from(degrees).to_radians().sin_cos();
        let (north, east) = (metres * sin / DEGREE, metres * cos / (DEGREE * circle.narrowing()));
        (circle.latitude + north, circle.longitude + east)
    }

    #[test]
    fn circle_covers_every_cell_it_touches() {
        for radius in [1.0, 500.0, 2_200.0, 3_000.0, 30_000.0] {
            let circle = Circle { radius, ..SEOUL };
            for direction in 0..360 {
                for share in [0.0, 0.3, 0.7, 1.0] {
                    let (latitude, longitude) = away(&circle, radius * share, direction);
                    assert!(has(&circle, latitude, longitude), "{radius} {direction} {share}");
                }
            }
        }
        let far = [(37.85, 127.0374), (37.5444, 127.45), (-37.5444, 127.0374)];
        assert!(far.iter().all(|(latitude, longitude)| !has(&SEOUL, *latitude, *longitude)));
        let pole = Circle { latitude: 90.0, longitude: 180.0, ..SEOUL };
        let row = |cell: i64| cell / i64::from(ROW);
        assert!(pole.cells().iter().all(|(first, last)| first <= last && row(*first) == row(*last)));
    }

    #[test]
    fn ring_excludes_only_cells_within_the_hole() {
        for hole in [500.0, 4_000.0, 15_000.0, 29_000.0] {
            let ring = Circle { hole, ..SEOUL };
            for direction in 0..360 {
                for metres in [hole, hole + 1.0, 30_000.0] {
                    let (latitude, longitude) = away(&ring, metres, direction);
                    assert!(has(&ring, latitude, longitude), "{hole} {direction} {metres}");
                }
            }
            assert_eq!(has(&ring, SEOUL.latitude, SEOUL.longitude), hole < 4_000.0, "{hole}");
        }
        let narrow = Circle { hole: 15_000.0, radius: 15_500.0, ..SEOUL };
        assert!(count(&narrow) * 2 < count(&Circle { radius: 15_500.0, ..SEOUL }), "{}", count(&narrow));
    }

    #[test]
    fn rings_cover_the_circle_and_are_few() {
        let bounds = |radius: f64, from: f64| -> Vec<(f64, f64)> {
            Circle { radius, ..SEOUL }.rings(from).map(|ring| (ring.hole, ring.radius)).collect()
        };
        assert_eq!(bounds(400.0, 0.0), [(0.0, 400.0)]);
        assert_eq!(bounds(3_000.0, 0.0), [(0.0, 500.0), (500.0, 2_000.0), (2_000.0, 3_000.0)]);
        assert_eq!(bounds(30_000.0, 29_000.0), [(29_000.0, 29_500.0), (29_500.0, 30_000.0)]);
        assert_eq!(bounds(30_000.0, 30_000.0), []);
        assert_eq!(bounds(30_000.0, 31_000.0), []);
        assert!((0..300).all(|from| bounds(30_000.0, f64::from(from) * 100.0).len() <= 4));
    }
}
