#!/usr/bin/env escript
%% The codec at corners that no golden file has, and on the golden files.
%%
%% usage: json.escript GOLDEN_FOLDER
-mode(compile).

main([Folder]) ->
    Here = filename:dirname(escript:script_name()),
    {ok, Module, Beam} = compile:file(filename:join(Here, "../nats/beamline_json.erl"), [binary, report]),
    {module, Module} = code:load_binary(Module, "beamline_json", Beam),
    [
        {Text, {ok, Value}} = {Text, beamline_json:decode(Text)}
     || {Text, Value} <- [
            {<<"0">>, 0}, {<<"-12">>, -12}, {<<"1.5">>, 1.5}, {<<"1e3">>, 1.0e3},
            {<<"-2.5E-1">>, -0.25}, {<<" [ ] ">>, []}, {<<"{\"a\":[null,true]}">>, #{<<"a">> => [null, true]}},
            {<<"\"\\ud83d\\ude80\\u0041\\n\"">>, <<16#1F680/utf8, "A\n">>}
        ]
    ],
    [
        {Text, {error, invalid_json}} = {Text, beamline_json:decode(Text)}
     || Text <- [
            <<>>, <<"{">>, <<"[1,]">>, <<"01">>, <<"1.">>, <<"nul">>, <<"\"\\x\"">>, <<"\"", 255, "\"">>,
            <<"\"\\ud83d\"">>, <<"1 2">>, <<"\"a\nb\"">>, binary:copy(<<"[">>, 100000)
        ]
    ],
    Files = filelib:wildcard(filename:join(Folder, "*.json")),
    true = length(Files) > 20,
    [check(File) || File <- Files],
    io:format("~b exchanges~n", [length(Files)]).

check(File) ->
    {ok, Text} = file:read_file(File),
    {ok, Exchange} = beamline_json:decode(Text),
    {File, {ok, Exchange}} = {File, beamline_json:decode(beamline_json:encode(Exchange))}.
