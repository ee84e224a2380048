"""How the page looks: Gradio's controls in the colours of style.css."""

import gradio as gr

from demo.pages import static


def theme() -> gr.themes.Base:
    """Gradio's controls in the colours of style.css, and in the fonts of the system: its own come from Google."""
    colours = {
        "body_background_fill": "var(--paper)",
        "body_text_color": "var(--ink)",
        "body_text_color_subdued": "var(--soft)",
        "background_fill_primary": "var(--panel)",
        "background_fill_secondary": "var(--paper)",
        "block_background_fill": "var(--panel)",
        "block_border_color": "var(--line)",
        "block_label_background_fill": "var(--panel)",
        "block_label_text_color": "var(--soft)",
        "block_title_text_color": "var(--ink)",
        "block_info_text_color": "var(--soft)",
        "border_color_primary": "var(--line)",
        "border_color_accent": "var(--accent)",
        "color_accent_soft": "var(--chosen)",
        "input_background_fill": "var(--paper)",
        "input_border_color": "var(--edge)",
        "button_primary_background_fill": "var(--accent)",
        "button_primary_background_fill_hover": "var(--accent-strong)",
        "button_primary_text_color": "var(--on-accent)",
        "button_secondary_background_fill": "var(--paper)",
        "button_secondary_background_fill_hover": "var(--chosen)",
        "button_secondary_text_color": "var(--ink)",
        "button_secondary_border_color": "var(--edge)",
        "button_border_width": "1px",
        "checkbox_label_background_fill": "var(--paper)",
        "checkbox_label_background_fill_selected": "var(--chosen)",
        "checkbox_label_text_color_selected": "var(--ink)",
        "checkbox_background_color_selected": "var(--accent)",
        "checkbox_border_color": "var(--edge)",
        "link_text_color": "var(--accent)",
        "link_text_color_hover": "var(--accent-strong)",
        "link_text_color_visited": "var(--accent)",
        "link_text_color_active": "var(--accent)",
        "color_accent": "var(--accent)",
        "table_text_color": "var(--ink)",
    }
    built = gr.themes.Base(font="system-ui", font_mono="ui-monospace", radius_size="sm")
    dark = {f"{name}_dark": value for name, value in colours.items() if hasattr(built, f"{name}_dark")}
    return built.set(**colours, **dark)


def head() -> str:
    """The page's style sheet."""
    return f"<style>{static('style.css')}</style>"
