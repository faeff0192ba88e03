//! The curve of memory over time as a picture: processes stacked.

use plotters::coord::Shift;
use plotters::prelude::*;
use rspy_profile::analysis::{Memory, Moment};

/// The size of the picture, in pixels.
const SIZE: (u32, u32) = (1200, 640);

/// At the right of it what the colours mean, in pixels.
const LEGEND: u32 = 200;

/// How high a row of that is, and where the first one is.
const ROW: i32 = 22;
const LEGEND_TOP: i32 = 52;

/// So many processes have a place of their own, those with the most memory; the others share one.
const MOST: usize = 12;

/// Colours that are told apart, also by those who see few of them (Okabe and Ito, 2008), and lighter ones of them.
const COLOURS: [RGBColor; MOST + 1] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(240, 228, 66),
    RGBColor(127, 184, 216),
    RGBColor(242, 207, 127),
    RGBColor(127, 206, 185),
    RGBColor(229, 188, 211),
    RGBColor(234, 174, 127),
    RGBColor(160, 160, 160),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Error<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

/// An SVG picture of `moments`.
pub fn plot(memory: &Memory, moments: &[Moment]) -> Result<String, String> {
    let mut picture = String::new();
    let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
    draw(&area, memory, moments).map_err(|error| error.to_string())?;
    drop(area);
    Ok(picture)
}

fn draw<'a>(root: &Area<'a>, memory: &Memory, moments: &[Moment]) -> Result<(), Error<'a>> {
    root.fill(&WHITE)?;
    let (bands, is_gathered) = bands(memory);
    let total = moments.iter().map(Moment::total).max().unwrap_or(0) as f64 / 1e6;
    let end = moments.last().map_or(1.0, |moment| moment.at).max(1e-3);
    let mut chart = ChartBuilder::on(root)
        .caption(&memory.basis.title, ("sans-serif", 22))
        .margin(16)
        .margin_right(LEGEND)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(0.0..end, 0.0..total.max(1.0) * 1.08)?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .y_desc("MB, no page counted twice")
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|at| format!("{at:.1}"))
        .y_label_formatter(&|size| format!("{size:.0}"))
        .draw()?;
    // From the top down, so that each covers all below it but its own band.
    for (index, band) in bands.iter().enumerate().rev() {
        let colour = COLOURS[index.min(MOST)];
        let below: Vec<usize> = bands.iter().take(index + 1).flatten().copied().collect();
        let height = |moment: &Moment| {
            below.iter().filter_map(|process| moment.bytes.get(*process)).sum::<u64>() as f64 / 1e6
        };
        let points = moments.iter().map(|moment| (moment.at, height(moment)));
        let area = AreaSeries::new(points, 0.0, colour.filled()).border_style(colour.mix(0.9));
        let label = match band.as_slice() {
            [process] if !(is_gathered && index == MOST) => {
                memory.processes.get(*process).map_or_else(String::new, |process| {
                    let how = process.start_method.map(|method| format!(", {method}")).unwrap_or_default();
                    format!("{}{how}: RSS {:.1} MB", process.pid, process.peak as f64 / 1e6)
                })
            }
            others => format!("{} more processes", others.len()),
        };
        chart.draw_series(area)?;
        // As the bands stand, the last one above.
        let (x, y) = ((SIZE.0 - LEGEND) as i32 + 14, LEGEND_TOP + (bands.len() - 1 - index) as i32 * ROW);
        root.draw(&Rectangle::new([(x, y), (x + 14, y + 10)], colour.filled()))?;
        root.draw_text(&label, &TextStyle::from(("sans-serif", 14).into_font()), (x + 20, y - 3))?;
    }
    if let Some(peak) = &memory.peak {
        let size = peak.bytes as f64 / 1e6;
        let text = format!("{size:.1} MB at {:.2} s", peak.at);
        let style = TextStyle::from(("sans-serif", 15).into_font());
        chart.draw_series([Circle::new((peak.at, size), 4, BLACK.filled())])?;
        let (x, y) = chart.backend_coord(&(peak.at, size));
        // Left of it where there is no room to its right.
        let x = if x + 150 > (SIZE.0 - LEGEND) as i32 { x - 160 } else { x + 8 };
        root.draw_text(&text, &style, (x, y - 18))?;
    }
    root.present()
}

/// The processes of each band, those with the most memory below; and whether the last one is of all others.
fn bands(memory: &Memory) -> (Vec<Vec<usize>>, bool) {
    let mut order: Vec<usize> = (0..memory.processes.len()).collect();
    order.sort_by_key(|process| std::cmp::Reverse(memory.processes[*process].peak));
    let others = order.split_off(order.len().min(MOST));
    let mut bands: Vec<Vec<usize>> = order.into_iter().map(|process| vec![process]).collect();
    let is_gathered = !others.is_empty();
    if is_gathered {
        bands.push(others);
    }
    (bands, is_gathered)
}
