/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion scripts. They hold no knowledge: each asks "isola __complete -- WORDS" and gets lines
 * "candidate<tab>explanation", or ":files" where a file name is wanted.
 */
#include <string.h>

#include "cli/document.h"

static const char bash[] =
    "# bash completion for isola\n"
    "_isola() {\n"
    "    local word words=() current line reply prefix\n"
    "    # Words as isola gets them: bash splits at = and :, too.\n"
    "    local i glue=\n"
    "    for ((i = 1; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if ((${#words[@]})) && [[ $word == [=:]* || $glue ]]; then\n"
    "            words[${#words[@]}-1]+=$word\n"
    "        else\n"
    "            words+=(\"$word\")\n"
    "        fi\n"
    "        glue=\n"
    "        [[ $word == [=:] ]] && glue=1\n"
    "    done\n"
    "    current=${words[${#words[@]}-1]}\n"
    "    # What bash does not replace.\n"
    "    prefix=${current%\"${current##*[=:]}\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        if [[ $line == :files ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            while IFS= read -r reply; do\n"
    "                COMPREPLY+=(\"$reply\")\n"
    "            done < <(compgen -f -- \"${current##*=}\")\n"
    "        else\n"
    "            reply=${line%%$'\\t'*}\n"
    "            [[ $reply == \"$current\"* ]] && COMPREPLY+=(\"${reply#\"$prefix\"}\")\n"
    "        fi\n"
    "    done < <(\"${COMP_WORDS[0]}\" __complete -- \"${words[@]}\" 2>/dev/null)\n"
    "    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then\n"
    "        compopt -o nospace 2>/dev/null\n"
    "    fi\n"
    "}\n"
    "complete -F _isola isola\n";

static const char zsh[] = "#compdef isola\n"
                          "_isola() {\n"
                          "    local -a found\n"
                          "    local line value\n"
                          "    for line in \"${(@f)$(${words[1]} __complete -- "
                          "\"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
                          "        if [[ $line == :files ]]; then\n"
                          "            compset -P '*='\n"
                          "            _files\n"
                          "        elif [[ -n $line ]]; then\n"
                          "            value=${line%%$'\\t'*}\n"
                          "            found+=(\"${value//:/\\\\:}:${line#*$'\\t'}\")\n"
                          "        fi\n"
                          "    done\n"
                          "    ((${#found})) && _describe -V isola found\n"
                          "}\n"
                          "if [[ $funcstack[1] == _isola ]]; then\n"
                          "    _isola \"$@\"\n"
                          "else\n"
                          "    compdef _isola isola\n"
                          "fi\n";

static const char fish[] =
    "# fish completion for isola\n"
    "function __isola_complete\n"
    "    set -l words (commandline -opc)[2..-1]\n"
    "    set -l current (commandline -ct)\n"
    "    for line in (isola __complete -- $words \"$current\" 2>/dev/null)\n"
    "        if test \"$line\" = :files\n"
    "            __fish_complete_path (string replace -r '^--[a-z-]+=' '' -- \"$current\")\n"
    "        else\n"
    "            echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c isola -f -a '(__isola_complete)'\n";

const char *document_completion(const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        return bash;
    if (strcmp(shell, "zsh") == 0)
        return zsh;
    return strcmp(shell, "fish") == 0 ? fish : NULL;
}
