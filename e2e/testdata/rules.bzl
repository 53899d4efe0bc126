"""Rules for what a genrule cannot make: folders, programs, symlinks."""

def _tree_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        inputs = ctx.files.srcs,
        outputs = [out],
        arguments = [out.path, str(ctx.attr.number)] + [f.path for f in ctx.files.srcs],
        command = """
out=$1; number=$2; shift 2
mkdir -p $out/nested/deeper $out/same
echo tree $number > $out/readme
echo tree $number > $out/same/readme
: > $out/nested/empty
cat "$@" > $out/nested/deeper/inputs
printf '#!/bin/sh\\necho %s\\n' $number > $out/nested/run.sh
chmod +x $out/nested/run.sh
ln -s nested/deeper/inputs $out/link
""",
    )
    return [DefaultInfo(files = depset([out]))]

tree = rule(
    implementation = _tree_impl,
    attrs = {
        "number": attr.int(),
        "srcs": attr.label_list(allow_files = True),
    },
)

def _program_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.run_shell(
        outputs = [out],
        arguments = [out.path, str(ctx.attr.number)],
        command = "printf '#!/bin/sh\\necho program %s\\n' $2 > $1; chmod +x $1; echo made $2; echo warned $2 >&2",
    )
    return [DefaultInfo(files = depset([out]))]

program = rule(
    implementation = _program_impl,
    attrs = {"number": attr.int()},
)
