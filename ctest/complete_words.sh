#!/usr/bin/env bash
# usage: complete_words.sh DERATE
#
# Sources the bash completion that DERATE prints and asks it for words as the shell would.
set -euo pipefail
program=$1
PATH=$(dirname "$program"):$PATH
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
source <("$program" reference bash)
complete -p derate >/dev/null

# expect WANTED WORD...: completing the last word offers WANTED; "!WANTED": does not.
expect() {
    local wanted=$1 offered
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _derate derate "${!#}" "${@: -2:1}"
    offered=" ${COMPREPLY[*]-} "
    case $wanted in
        !*) [[ $offered != *" ${wanted#!} "* ]] || { echo "'$*' offers ${wanted#!}"; exit 1; } ;;
        *) [[ $offered = *" $wanted "* ]] || { echo "'$*' lacks $wanted, offers:$offered"; exit 1; } ;;
    esac
}

touch my_model.pt2
"$program" reference markdown | sed -n 's/^## derate //p' >commands
[ "$(wc -l <commands)" -ge 10 ]
while read -r command; do
    expect "$command" derate "${command:0:3}"
    expect --help derate "$command" --he
done <commands
expect '!estimate' derate c
expect --explain derate estimate --ex
expect --dry-run derate promote --dry
expect '!--dry-run' derate estimate --d
expect resnet18 derate estimate --model resn
expect '!vgg11' derate estimate --model resn
expect resnet18 derate estimate --model = resn
expect my_model.pt2 derate estimate --model my
expect resnet18,resnet34 derate calibrate --models resnet18,resnet3
expect i7-12700K derate estimate --model resnet18 --hardware i7
expect bf16 derate measure --precision bf
expect hardware derate list ''
expect zsh derate reference z
echo "completion offers commands, flags, models and hardware"
bash -n <("$program" reference bash)
if command -v zsh >/dev/null; then zsh -n <("$program" reference zsh); fi
if command -v groff >/dev/null; then [ -z "$("$program" reference man | groff -man -ww -z 2>&1)" ]; fi
