"""The page: an image, sliders, the pictures of the answer, and where the network looks."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from fusionseg.config.errors import UserError
from fusionseg.demo.session import Session
from fusionseg.files.orientation import orientation
from fusionseg.inference.attribution import Attribution, AttributionTarget

KEPT = 3600
"""So many seconds a picture is kept that a page has shown, and the outputs of a page that was closed."""

HEAT = "where the network looks"

CSS = ".grid-wrap { max-height: none !important; overflow-y: auto !important }"
"""All pictures are seen at once, instead of some in a frame that scrolls."""

BUTTONS: list[Any] = ["download", "fullscreen"]
"""Of pictures; not gradio's `share`, which publishes them."""

ABOUT = "Drop an image. Sliders decode what the network has said of it; they do not ask it again."


def page(session: Session) -> Any:
    """The page of a model, `gradio.Blocks`.

    Args:
        session: What the page asks.
    """
    import gradio as gr

    explains = bool(session.targets)
    with gr.Blocks(
        title="fusionseg", analytics_enabled=False, fill_width=True, delete_cache=(KEPT, KEPT)
    ) as blocks:
        outputs = gr.State(time_to_live=KEPT)
        gr.Markdown(ABOUT)
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                image = gr.Image(type="filepath", image_mode=None, label="image", sources=["upload"])
                opacity = gr.Slider(0, 1, 0.5, step=0.05, label="opacity")
                sliders = [
                    gr.Slider(one.low, one.high, one.value, step=one.step, label=one.label)
                    for one in session.sliders
                ]
                title = gr.Dropdown(list(session.targets), value=None, label="explain", visible=explains)
                heat = gr.Image(label=HEAT, visible=explains, format="png", buttons=BUTTONS)
            with gr.Column(scale=3, min_width=320):
                gallery = gr.Gallery(
                    label="answer", columns=3, object_fit="contain", format="png", buttons=BUTTONS
                )
        values = [opacity, *sliders]
        image.change(_seen(session), [image, *values], [outputs, gallery, title, heat])
        for slider in values:
            # while one is moved, only the last value counts
            slider.change(_decoded(session), [outputs, *values], gallery, trigger_mode="always_last")
        title.input(_of_title(session), [title, outputs, *values], heat)
        if session.explains_pixels:
            image.select(_of_pixel(session), [image, outputs, *values], heat)
    return blocks


def _seen(session: Session) -> Callable[..., Any]:
    """Asks the network; an explanation of the image before is removed."""
    import gradio as gr

    @_guarded
    def seen(image: str | None, opacity: float, *values: float) -> Any:
        unexplained = (None, gr.Image(None, label=HEAT))
        if image is None:
            return None, None, *unexplained
        outputs = session.seen(Path(image))
        return outputs, _titled(session.decoded(outputs, values, opacity)), *unexplained

    return seen


def _decoded(session: Session) -> Callable[..., Any]:
    """Decodes again."""

    @_guarded
    def decoded(outputs: Any, opacity: float, *values: float) -> Any:
        return None if outputs is None else _titled(session.decoded(outputs, values, opacity))

    return decoded


def _of_title(session: Session) -> Callable[..., Any]:
    """Explains what was chosen."""

    @_guarded
    def of_title(title: str | None, outputs: Any, opacity: float, *values: float) -> Any:
        if outputs is None or title is None:
            return None
        return _labeled(session.explained(outputs, values, session.targets[title]), opacity)

    return of_title


def _of_pixel(session: Session) -> Callable[..., Any]:
    """Explains the class of the pixel that was clicked on."""
    import gradio as gr

    @_guarded
    def of_pixel(
        click: gr.SelectData, image: str | None, outputs: Any, opacity: float, *values: float
    ) -> Any:
        if image is None or outputs is None:
            return None
        if orientation(Path(image)) > 1:
            raise UserError(
                "the page shows this photo turned, by its EXIF orientation: choose a class instead"
            )
        column, row = click.index
        target = AttributionTarget(pixel=(int(row), int(column)))
        return _labeled(session.explained(outputs, values, target), opacity)

    return of_pixel


def _titled(pictures: dict[str, Any]) -> list[tuple[Any, str]]:
    """Pictures as a gallery takes them."""
    return [(picture, title) for title, picture in pictures.items()]


def _labeled(attribution: Attribution, opacity: float) -> Any:
    """A heat map, and what it is of."""
    import gradio as gr

    return gr.Image(attribution.overlay(opacity), label=f"{HEAT} for {attribution.target}")


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Shows what a user can mend as a message on the page."""
    import gradio as gr

    @wraps(function)
    def guarded(*args: Any) -> Any:
        try:
            return function(*args)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    return guarded
