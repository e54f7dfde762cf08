"""What the page in the browser asks: runs, texts, a training, songs, lines and figures."""
