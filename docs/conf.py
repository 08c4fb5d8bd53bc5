"""Settings of the site. `python tools/build_site.py` builds it."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

import autograd  # noqa: E402  (after the path is set)

project = "scalar-autograd"
author = "The scalar-autograd authors"
version = release = autograd.__version__
project_copyright = f"{author}, MIT licence"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "myst_nb",
    "mathml",
    "public_names",
    "primitives",
    "programs",
]
exclude_patterns = ["playground"]
nitpick_ignore_regex = [("py:.*", r".*")]  # docstrings say "array" or "callable": words, not names of classes

html_theme = "furo"
html_title = "scalar-autograd"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_favicon = "static/icon.svg"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0a5fc2", "color-brand-content": "#0a5fc2"},
    "dark_css_variables": {"color-brand-primary": "#6fb4ff", "color-brand-content": "#6fb4ff"},
}
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"  # they come with the theme

# Notebooks are pages made from their saved outputs. A test executes them, the site does not.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # no scripts from elsewhere
nb_merge_streams = True

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
suppress_warnings = ["ref.python"]  # a word of a docstring, such as "operands", may be an attribute of several classes

default_role = "py:name"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say it
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False
copybutton_exclude = ".linenos, .gp"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def bring_notebooks() -> None:
    """Copy the notebooks to where Sphinx reads its pages."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    for notebook in (HERE.parent / "notebooks").glob("*.ipynb"):
        shutil.copy2(notebook, target)


bring_notebooks()
