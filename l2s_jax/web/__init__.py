"""The page in the browser: served by this machine (`server`), or a folder that runs by itself (`static_page`)."""
