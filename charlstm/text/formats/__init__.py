"""Files as people have them: songs out of LRC, subtitles, tables, JSON and Word documents.

`which` finds out what a file is, and one file each reads lrc, subtitles, tables, jsons and word. A
reader yields a `charlstm.text.songs.Opening` where a song begins, then its text, and counts in an
account what it leaves out.
"""
