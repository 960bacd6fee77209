"""The measurements of a server, which are the same for both sides."""

import serving
from files import picture_of
from kinds import SERVED_CONTEXT


class Served:
    """A side with a server: its method `server(programs, files, settings, port, parallel, context)` is
    the command that answers so many clients at once, each with so long a conversation, at a port."""

    def started(self, programs, files, settings, parallel, context):
        """The server, ready."""
        port = serving.free_port()
        return serving.serving(self.server(programs, files, settings, port, parallel, context), port)

    def serve(self, job, programs, files, settings):
        """Tokens a second that clients get, one alone and several at once."""
        with self.started(programs, files, settings, job.parallel, SERVED_CONTEXT) as port:
            alone, together = serving.throughput(port, job.parallel, job.generate)
        return {"serve 1": alone, job.name: together}

    def beside(self, job, programs, files, settings):
        """What a client sees of another one's picture."""
        picture = picture_of(files.folder, job.size)
        with self.started(programs, files, settings, 2, settings.context) as port:
            values = serving.beside(port, picture, settings.question)
        return dict(zip(("beside median", "beside longest", "beside picture"), values))
