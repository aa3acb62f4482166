"""How the documents become a site: ``sphinx-build -W -b html docs site``.

What is not written by hand is made by `_pages.py`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
if importlib.util.find_spec("pronas") is None:  # from a checkout: here, and in the notebooks' kernels
    sys.path.insert(0, str(HERE.parent / "src"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # notebooks' kernels are not debugged

import _pages  # noqa: E402

_pages.write_api(HERE / "api")
_pages.take_in(HERE.parent, HERE / "project")

project = "pronas"
author = "The pronas developers"
copyright = author
html_title = "pronas"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.doctest"]
exclude_patterns = ["site", "_build", "**/.ipynb_checkpoints"]

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = os.environ.get("PRONAS_NOTEBOOKS", "force")  # "off" for a quick look at the words
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]  # words in single backticks that several classes have

autodoc_typehints = "signature"
autodoc_member_order = "alphabetical"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # a list: signatures have the types
napoleon_use_param = False  # "a, b: what both are" is one entry
napoleon_use_rtype = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 100
default_role = "py:obj"
nitpicky = False

html_theme = "furo"
html_theme_options = {"top_of_page_buttons": [], "footer_icons": []}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
doctest_test_doctest_blocks = ""  # tests/test_doctests.py runs the docstrings' examples
