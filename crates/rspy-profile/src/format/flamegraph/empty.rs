//! The picture of a profile without samples: the usual caption, and why there is nothing to see.

use std::io::{self, BufWriter, Write};

use super::palette::BACKGROUND;
use crate::caption;
use crate::fold::Totals;
use crate::options::Options;

pub(super) fn write(
    title: &str,
    subtitle: &str,
    options: &Options,
    totals: &Totals,
    writer: &mut dyn io::Write,
) -> io::Result<()> {
    let reason = match totals.left_out {
        0 => "No samples: none was taken while the program was watched.".into(),
        count if options.gil => {
            format!(
                "No samples to show: of {} taken, none is known to hold the GIL.",
                caption::samples(count)
            )
        }
        count => format!("No samples to show: {} taken, of idle threads only.", caption::samples(count)),
    };
    let mut writer = BufWriter::new(writer);
    write!(
        writer,
        concat!(
            r#"<?xml version="1.0" standalone="no"?>"#,
            r#"<svg version="1.1" width="1200" height="150" viewBox="0 0 1200 150" "#,
            r#"xmlns="http://www.w3.org/2000/svg">"#,
            r#"<style type="text/css">text {{ font-family:monospace; font-size:12px; text-anchor:middle }}"#,
            r#" #title {{ font-size:17px }} #reason {{ font-size:14px }}</style>"#,
            r#"<rect width="100%" height="100%" fill="{background}"/>"#,
            r#"<text id="title" x="50%" y="24">{title}</text>"#,
            r#"<text id="subtitle" x="50%" y="48">{subtitle}</text>"#,
            r#"<text id="reason" x="50%" y="100">{reason}</text>"#,
            "</svg>"
        ),
        background = BACKGROUND,
        title = escape(title),
        subtitle = escape(subtitle),
        reason = escape(&reason),
    )?;
    writer.flush()
}

/// `text` as character data of an XML document.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
