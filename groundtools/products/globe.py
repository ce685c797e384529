"""Show an orbit on a globe, in the browser, without a network.

`vinsat globe runs/demo` serves a CesiumJS page on this machine's loopback address: orbit,
3-sigma ellipsoid, what the frames saw, landmarks, clock. CesiumJS is the npm package
`cesium`; the command says how to get it where it is missing.
"""

import http.server
import mimetypes
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flightsw.camera.load import load_camera
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, InputError, UsageError
from flightsw.runtime.known_case import CAMERA
from groundtools.imagery.cache import cache_dir
from groundtools.products.ephemeris import from_solution
from groundtools.products.globe_data import globe_czml, middle_of
from groundtools.products.report import sentences
from groundtools.products.report_data import read_run

HELP = """Show an orbit on a globe, in the browser, without a network.

For example:

`vinsat globe runs/demo`

`vinsat globe runs/demo --hours-ahead 24 --port 8080 --no-open`
"""
app = App(name="globe", help=HELP)

TEMPLATE = Path(__file__).with_name("globe.html")
CESIUM = "cesium@1.140"
STEP_S = 30.0
# Nothing outside this page may be asked for; Cesium compiles shaders' helpers at run time.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob: data:"


@dataclass(frozen=True, slots=True)
class Site:
    """What is served: pages by their path, and the folder of CesiumJS under cesium/."""

    pages: dict[str, tuple[str, bytes]]
    cesium: Path

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Return type and content of a path without its query; None where there is nothing."""
        if path in self.pages:
            return self.pages[path]
        if not path.startswith("/cesium/"):
            return None
        file = (self.cesium / path.removeprefix("/cesium/")).resolve()
        if not file.is_relative_to(self.cesium.resolve()) or not file.is_file():
            return None
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return kind, file.read_bytes()


@app.default
def globe(
    run: Annotated[Path, Parameter(help="A run folder or solution.json.")],
    /,
    *,
    camera: Annotated[Path | None, Parameter(help="Camera file (default: the reference camera).")] = None,
    hours_ahead: Annotated[float, Parameter(help="How far past the last sighting.")] = 6.0,
    name: Annotated[str, Parameter(help="Name of the satellite.")] = "",
    cesium: Annotated[Path | None, Parameter(help="Folder of the npm package cesium.")] = None,
    port: Annotated[int, Parameter(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    open_: Annotated[bool, Parameter(name="--open", help="Open the browser.")] = True,
) -> int:
    """Serve RUN until interrupted. Exit codes: 0 ok, 2 usage, 3 cannot be read, 4 not determined."""
    if not 0.0 <= hours_ahead <= 240.0:
        raise UsageError(f"--hours-ahead: {hours_ahead!r} is outside 0..240")
    site = site_of(run, camera=camera, hours_ahead=hours_ahead, name=name, cesium=cesium)
    read = read_run(run, camera=camera, attitude=None)
    try:
        server = serve(site, port)
    except (OSError, OverflowError) as error:
        raise UsageError(f"--port: {port} cannot be used ({error})") from None
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    sys.stderr.write("globe: interrupt (Ctrl-C) to end\n")
    if open_:
        webbrowser.open(url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return EXIT_OK if read.solution.status.is_determined else EXIT_NOT_DETERMINED


def site_of(run: Path, *, camera: Path | None, hours_ahead: float, name: str, cesium: Path | None) -> Site:
    """Return everything the page needs. InputError where the run or CesiumJS is missing."""
    from jinja2 import Environment

    folder = find_cesium(cesium)
    read = read_run(run, camera=camera, attitude=None)
    solution = read.solution
    last = solution.last_used_s + max(3600.0 * hours_ahead, 600.0)
    table = from_solution(solution, solution.first_used_s, last, STEP_S)
    first = table.epoch + float(table.t_s[0])
    lens = load_camera(camera) if camera else CAMERA
    lon, lat = middle_of(table, first)
    page = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=f"Orbit of {name or 'a satellite'}",
        determined=solution.status.is_determined,
        headline=f"{solution.status.value[0].upper()}{solution.status.value[1:]}.",
        sentences=sentences(read),
        first=first.utc_iso(), last=(table.epoch + float(table.t_s[-1])).utc_iso(),
        lon=f"{lon:.3f}", lat=f"{lat:.3f}",
    )  # fmt: skip
    czml = globe_czml(solution, table, read.observations, lens, name)
    html = ("text/html; charset=utf-8", page.encode())
    return Site({"/": html, "/orbit.czml": ("application/json", czml.encode())}, folder)


def find_cesium(folder: Path | None) -> Path:
    """Return the folder that holds Cesium.js. InputError with the command that brings it."""
    roots = [folder] if folder else [Path("node_modules/cesium"), cache_dir() / "node_modules" / "cesium"]
    for root in roots:
        for place in (root, root / "Build" / "Cesium", root / "node_modules" / "cesium" / "Build" / "Cesium"):
            if (place / "Cesium.js").is_file():
                return place
    fix = f"run: npm install --prefix {cache_dir()} {CESIUM}"
    raise InputError("CesiumJS is not there", file=folder or "", fix=fix)


def serve(site: Site, port: int) -> http.server.ThreadingHTTPServer:
    """Return a server of the site on 127.0.0.1, not yet running."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = site.answer(self.path.partition("?")[0])
            kind, content = found or ("text/plain", b"not here\n")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server
