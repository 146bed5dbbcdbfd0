#!/usr/bin/env python3
"""Opens an HTML report in headless Chromium and fails unless every picture is really drawn.

usage: open_in_chromium.py REPORT.html [--screenshots DIR]

What counts is the live page: marks are counted in the rendered SVG, not in the script's text. The
network is cut off, any console error fails, and the text must be legible at 1280 and at 480 pixels,
on a light and on a dark page. A copy of the report with one chart removed and one with a script error
must fail, or this test could not see those faults.
"""

import json
import pathlib
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

WIDTHS = (1280, 480)
SMALLEST_TEXT_PX = 11

# For each figure: what the specification asks for, and what stands in the page.
INSPECT = """
return [...document.querySelectorAll('figure')].map(figure => {
  const script = figure.querySelector('script[type="application/vega-lite+json"]');
  const svg = figure.querySelector('.picture svg');
  const spec = script ? JSON.parse(script.textContent) : {layer: []};
  const rows = {};
  for (const layer of spec.layer) {
    const mark = layer.mark.type;
    rows[mark] = (rows[mark] || 0) + (mark == 'area' || mark == 'line' ? 1 : layer.data.values.length);
  }
  const drawn = {};
  const classes = {point: 'mark-symbol', area: 'mark-area', line: 'mark-line', rule: 'mark-rule',
                   bar: 'mark-rect', rect: 'mark-rect', text: 'mark-text'};
  if (svg) for (const mark of Object.keys(rows)) {
    drawn[mark] = [...svg.querySelectorAll('.' + classes[mark] + '.role-mark > *')]
      .filter(e => e.getAttribute('d') || e.textContent || e.tagName == 'line').length;
  }
  const texts = svg ? [...svg.querySelectorAll('text')].filter(t => t.textContent.trim()) : [];
  const boxes = selector => svg ? [...svg.querySelectorAll(selector)]
      .filter(t => t.textContent.trim() && getComputedStyle(t).opacity > 0)
      .map(t => t.getBoundingClientRect()) : [];
  const overlaps = list => list.slice(1).filter((b, i) =>
      b.left < list[i].right - 1 && b.right > list[i].left + 1 &&
      b.top < list[i].bottom - 1 && b.bottom > list[i].top + 1).length;
  const page = document.documentElement.clientWidth;
  const upright = [...(svg ? svg.querySelectorAll('.role-axis-label text') : [])]
      .filter(t => !(t.getAttribute('transform') || '').includes('rotate(3') &&
                   getComputedStyle(t).opacity > 0 && t.textContent.trim());
  return {title: figure.querySelector('h3').textContent, id: script ? script.dataset.picture : null,
          drawnSvg: !!svg, rows, drawn,
          smallest: Math.min(...texts.map(t => parseFloat(getComputedStyle(t).fontSize))),
          overlapping: overlaps(upright.map(t => t.getBoundingClientRect())),
          wide: svg ? svg.getBoundingClientRect().width > page : false,
          tableRows: figure.querySelectorAll('tbody tr').length};
});
"""


def open_chromium():
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking",
                     "--force-device-scale-factor=1", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def faults_of(driver, page, screenshots=None):
    """What is wrong with the page, as lines; empty if nothing is."""
    found = []
    for theme in ("light", "dark"):
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": theme}]})
        for width in WIDTHS:
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
            driver.get_log("browser")
            driver.get(page.as_uri())
            for _ in range(300):
                if driver.execute_script("return document.body.dataset.drawn == 'all'"):
                    break
                time.sleep(0.1)
            at = f"{theme}, {width} px"
            for entry in driver.get_log("browser"):
                if entry["level"] in ("SEVERE", "WARNING"):
                    found.append(f"{at}: console: {entry['message'][:300]}")
            requested = driver.execute_script(
                "return performance.getEntriesByType('resource').map(e => e.name)"
                ".filter(n => !n.startsWith('data:') && !n.startsWith('blob:'))")
            found += [f"{at}: the page asks for {name}" for name in requested]
            figures = driver.execute_script(INSPECT)
            if not figures:
                found.append(f"{at}: no picture on the page")
            for figure in figures:
                where = f"{at}: '{figure['title']}'"
                if not figure["drawnSvg"]:
                    found.append(f"{where}: not drawn")
                    continue
                for mark, rows in figure["rows"].items():
                    if figure["drawn"].get(mark, 0) < rows:
                        found.append(f"{where}: {figure['drawn'].get(mark, 0)} of {rows} {mark} marks")
                if figure["smallest"] < SMALLEST_TEXT_PX:
                    found.append(f"{where}: text of {figure['smallest']} px")
                if figure["overlapping"]:
                    found.append(f"{where}: {figure['overlapping']} axis labels overlap")
                if figure["wide"]:
                    found.append(f"{where}: wider than the page")
                if not figure["tableRows"]:
                    found.append(f"{where}: no table of its numbers")
            if screenshots:
                height = driver.execute_script("return document.documentElement.scrollHeight")
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                    "width": width, "height": min(height, 15000), "deviceScaleFactor": 1, "mobile": False})
                driver.save_screenshot(str(screenshots / f"{page.stem}-{theme}-{width}.png"))
    return found


def main():
    report = pathlib.Path(sys.argv[1]).resolve()
    screenshots = None
    if "--screenshots" in sys.argv:
        screenshots = pathlib.Path(sys.argv[sys.argv.index("--screenshots") + 1])
        screenshots.mkdir(parents=True, exist_ok=True)
    text = report.read_text()
    driver = open_chromium()
    try:
        failures = faults_of(driver, report, screenshots)
        with tempfile.TemporaryDirectory() as folder:
            planted = {
                "a chart removed": text.replace('<div class="picture"', '<div class="removed"', 1),
                "a script that errors": text.replace("drawAll();", "drawAll(); undefinedName.x;", 1),
            }
            for defect, changed in planted.items():
                page = pathlib.Path(folder) / "planted.html"
                page.write_text(changed)
                if changed == text or not faults_of(driver, page):
                    failures.append(f"the planted defect '{defect}' was not seen")
    finally:
        driver.quit()
    print("\n".join(failures[:30]))
    print(f"{len(failures)} faults in {report.name}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
