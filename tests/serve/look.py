"""Pictures of the page at the sizes people have, to be looked at. Usage: look.py SER FOLDER RECORDING..."""
import os, sys
from browser import Browser
from service import Service

program, folder, *recordings = sys.argv[1:]
service = Service(program, "--log", "/dev/null")
b = Browser()
b.open(f"http://127.0.0.1:{service.port}/")
b.picture(os.path.join(folder, "empty.png"))
b.type("#files", "\n".join(os.path.abspath(r) for r in recordings))
b.wait(f"items.length == {len(recordings)} && items.every(i => i.state != 'waiting' && (i.samples || i.mute || i.state == 'failed'))", "answers")
for width in (360, 768, 1440):
    for dark in (False, True):
        b.dark(dark)
        b.size(width, 1250 if width < 600 else 1100)
        b.run("dispatchEvent(new Event('resize'))")
        b.picture(os.path.join(folder, f"page-{width}-{'dark' if dark else 'light'}.png"))
        wide = b.run("return document.documentElement.scrollWidth")
        print(width, "dark" if dark else "light", "scrolls sideways" if wide > width else "fits")
print(b.complaints())
b.close()
service.stop()
