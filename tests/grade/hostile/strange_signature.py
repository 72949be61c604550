"""Has a signature that never ends, and a name that is none."""


class Function:
    @property
    def __signature__(self):
        while True:
            pass

    def __call__(self, *args, **options):
        return args[0]


conv2d_forward = Function()
