#!/usr/bin/env escript
%% The codec against the golden files, and the files against a sidecar.
%%
%% usage: golden.escript EBIN GOLDEN_FOLDER [NATS_URL]
-mode(compile).

main([Ebin, Folder | Url]) ->
    true = code:add_patha(Ebin),
    numbers(),
    connect(Url),
    Files = filelib:wildcard(filename:join(Folder, "*.json")),
    true = length(Files) > 20,
    [check(File, Url) || File <- Files],
    io:format("~b exchanges~n", [length(Files)]).

%% Corners that no golden file has.
numbers() ->
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
    ].

check(File, Url) ->
    {ok, Text} = file:read_file(File),
    {ok, Exchange} = beamline_json:decode(Text),
    {ok, Exchange} = beamline_json:decode(beamline_json:encode(Exchange)),
    #{<<"request">> := Request, <<"reply">> := #{<<"headers">> := Headers, <<"body">> := Body}} = Exchange,
    Name = filename:basename(File, ".json"),
    built(Name, Request),
    decoded(Name, Headers, Body),
    [real(Name, Request, Headers, Body) || _ <- Url].

%% What the client would ask is what the file asks.
built("lookup", Request) ->
    same(Request, beamline_registry:lookup_request(<<"normalize_text">>, #{tenant_id => <<"initech">>}));
built("lookup_targeted", Request) ->
    same(Request, beamline_registry:lookup_request(<<"pii_guard">>, #{tenant_id => <<"acme">>}));
built("invoke", #{<<"payload">> := #{<<"payload">> := Payload}} = Request) ->
    Context = #{tenant_id => <<"initech">>, trace_id => <<"t-1">>},
    same(Request, beamline_registry:invoke_request(<<"normalize_text">>, Payload, Context));
built(_, _) ->
    ok.

same(#{<<"subject">> := Subject, <<"payload">> := Payload}, {Verb, Arguments}) ->
    Subject = <<"beamline.registry.", Verb/binary>>,
    {ok, Payload} = beamline_json:decode(beamline_json:encode(Arguments)).

%% What the client would make of the reply.
decoded(Name, Headers, Body) ->
    Reply = #{headers => maps:to_list(Headers), payload => beamline_json:encode(Body)},
    case {maps:find(<<"Nats-Service-Error-Code">>, Headers), beamline_registry:decode(Reply)} of
        {error, {ok, Body}} -> ok;
        {{ok, Number}, {error, #{number := Decoded, code := Code}}} ->
            {Name, Number} = {Name, integer_to_binary(Decoded)},
            {Name, Code} = {Name, code(Body)}
    end.

code(#{<<"error">> := #{<<"code">> := Code}}) -> Code;
code(_) -> <<"extension">>.

connect([]) -> ok;
connect([Url]) ->
    {ok, _} = beamline_nats:start_link(#{url => Url, name => <<"golden">>}),
    up(100).

up(Left) when Left > 0 ->
    case beamline_nats:request(<<"beamline.registry.ping">>, [], <<>>, 1000) of
        {ok, _} -> ok;
        {error, _} -> timer:sleep(20), up(Left - 1)
    end.

%% What the sidecar answers now.
real(Name, Request = #{<<"subject">> := Subject}, Headers, Body) ->
    Payload =
        case Request of
            #{<<"text">> := Text} -> Text;
            #{<<"payload">> := Object} -> beamline_json:encode(Object)
        end,
    {ok, #{headers := RealHeaders, payload := RealBody}} =
        beamline_nats:request(Subject, [], Payload, 10000),
    {ok, Document} = beamline_json:decode(RealBody),
    matches(Name, Headers, maps:from_list(RealHeaders)),
    matches(Name, Body, Document).

matches(_, <<"…"/utf8>>, Value) when Value =/= null -> ok;
matches(Name, Expected, Value) when is_map(Expected), is_map(Value) ->
    {Name, Keys} = {Name, lists:sort(maps:keys(Expected))},
    {Name, Keys} = {Name, lists:sort(maps:keys(Value))},
    [matches(Name, Item, maps:get(Key, Value)) || {Key, Item} <- maps:to_list(Expected)];
matches(Name, Expected, Value) when is_list(Expected), is_list(Value) ->
    {Name, Length} = {Name, length(Expected)},
    {Name, Length} = {Name, length(Value)},
    [matches(Name, Item, Real) || {Item, Real} <- lists:zip(Expected, Value)];
matches(Name, Expected, Value) ->
    {Name, Expected} = {Name, Value}.
