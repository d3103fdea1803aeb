"""How texts are searched for many patterns at once; `content.interpreter` puts it together."""
